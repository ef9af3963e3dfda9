-- A wall's sign-in is bound to the address that opened its link; '' = from anywhere.
ALTER TABLE sessions ADD COLUMN source text NOT NULL DEFAULT '';
