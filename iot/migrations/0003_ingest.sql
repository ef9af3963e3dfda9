-- Where a refused frame was published to, and how many of its records were refused: `record`, `reason` and
-- `detail` are those of the first. With payload, source and topic it can be replayed.
ALTER TABLE dead_letters
    ADD COLUMN topic text NOT NULL DEFAULT '',
    ADD COLUMN refused integer NOT NULL DEFAULT 1,
    ADD COLUMN settled_at timestamptz,              -- replayed or put aside by a person
    ADD COLUMN outcome text NOT NULL DEFAULT '' CHECK (outcome IN ('', 'replayed', 'dropped'));
CREATE INDEX dead_letters_gateway ON dead_letters (gateway, id);

-- The last thing that a pipeline stored by a lane (live, or a lane of its spool), moved in the same transaction.
-- After a lost connection or a crash it says whether that transaction was committed.
CREATE TABLE ingest_marks (
    instance text NOT NULL,
    lane     text NOT NULL,
    last     bigint NOT NULL,
    PRIMARY KEY (instance, lane)
);
