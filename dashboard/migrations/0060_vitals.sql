-- Vital signs as they stand: one row each, written by the worker, read by every screen.
CREATE TABLE vitals (
    key        text PRIMARY KEY,
    at         timestamptz NOT NULL,
    as_of      timestamptz,             -- newest reading that took part in the value
    value      double precision,
    level      smallint NOT NULL,       -- 0 none, 1 red … 4 blue, after the hold-off
    state      text NOT NULL CHECK (state IN ('ok', 'low_coverage', 'stale', 'no_data')),
    n          integer NOT NULL,        -- points that took part
    total      integer NOT NULL,        -- points there are; 0 where the value is not made of points
    confidence double precision NOT NULL,
    detail     jsonb NOT NULL
);

-- Their history in quarters of an hour.
CREATE TABLE vital_history (
    key   text NOT NULL,
    at    timestamptz NOT NULL,         -- begin of the quarter
    n     integer NOT NULL,             -- evaluations in it
    total double precision NOT NULL,    -- their sum
    low   double precision NOT NULL,
    high  double precision NOT NULL,
    last  double precision NOT NULL,
    level smallint NOT NULL,            -- the worst in it, 0 none
    PRIMARY KEY (key, at)
);

-- What is usual at an hour of comparable days, learned from the history.
CREATE TABLE vital_usual (
    key      text NOT NULL,
    day_type text NOT NULL,
    hour     smallint NOT NULL,
    median   double precision NOT NULL,
    mad      double precision NOT NULL,
    days     integer NOT NULL,
    PRIMARY KEY (key, day_type, hour)
);
