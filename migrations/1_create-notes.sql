-- A migration is a file named NUMBER_name.sql; the numbers begin at 1 and leave no gap.
-- The file and its line in the history table are committed together, or not at all.
CREATE TABLE notes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  text text NOT NULL CHECK (text <> ''),
  created_at timestamptz NOT NULL DEFAULT now()
);
