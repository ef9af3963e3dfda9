-- What a changed rule would have said over stored readings: nothing is put in force that was not tried.
CREATE TABLE rule_trials (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule   text NOT NULL,
    yaml   text NOT NULL,
    base   text NOT NULL, -- version of all rules that it was tried beside
    begins timestamptz NOT NULL,
    ends   timestamptz NOT NULL,
    before jsonb NOT NULL,
    after  jsonb NOT NULL,
    by     text NOT NULL,
    at     timestamptz NOT NULL
);

-- Rules as a city has edited them, every version; the newest of a rule is in force instead of the shipped one.
CREATE TABLE edited_rules (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule    text NOT NULL,
    yaml    text NOT NULL,
    trial   bigint NOT NULL REFERENCES rule_trials (id),
    by      text NOT NULL,
    by_name text NOT NULL,
    reason  text NOT NULL CHECK (reason <> ''),
    at      timestamptz NOT NULL
);
CREATE INDEX edited_rules_newest ON edited_rules (rule, id DESC);
