-- A constant default is kept in the catalog: no row is rewritten, however large the table is.
-- Servers of the previous version, which do not know the column, can still insert.
ALTER TABLE notes ADD COLUMN author text NOT NULL DEFAULT 'anonymous';
