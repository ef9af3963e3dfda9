"""One file per wire format: `decode` and `encode`, pure. What they share stands in `frame.py`."""
