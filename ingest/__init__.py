"""Wire → Batch → hypertable. Acknowledged means committed, or synced to the spool; there is no third meaning."""
