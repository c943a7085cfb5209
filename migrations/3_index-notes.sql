-- postgres-migrations disable-transaction
-- The line above is needed because CONCURRENTLY, which lets others write while the index is built,
-- is not allowed inside a transaction.
CREATE INDEX CONCURRENTLY notes_created_at_idx ON notes (created_at);
