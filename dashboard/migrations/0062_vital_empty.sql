-- A vital sign may be known and have nothing to measure: no case was due, no crew was sent.
ALTER TABLE vitals DROP CONSTRAINT vitals_state_check;
ALTER TABLE vitals ADD CONSTRAINT vitals_state_check
    CHECK (state IN ('ok', 'low_coverage', 'stale', 'no_data', 'empty'));
