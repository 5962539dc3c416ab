-- Entries with queued records that are under way. data: CBOR.
CREATE TABLE log_flight (
    log INTEGER NOT NULL, seq INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (log, seq)
);
ALTER TABLE log DROP COLUMN in_flight;
-- Posts that are not in the index yet.
CREATE TABLE post_new (key INTEGER PRIMARY KEY);
