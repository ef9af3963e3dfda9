-- What binds a crew and what it did on this duty is asked for every crew at once.
CREATE INDEX orders_crew ON orders (crew, created_at);
CREATE INDEX orders_changed ON orders (changed_at);
CREATE INDEX cases_changed ON cases (changed_at);
