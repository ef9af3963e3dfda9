-- Cases about the same thing that were there when this one came: near, young, same code.
ALTER TABLE cases ADD COLUMN similar_to text[] NOT NULL DEFAULT '{}';
CREATE INDEX cases_code_place ON cases (code, created_at);
