-- Entries with queued records that are under way. data: CBOR.
CREATE TABLE log_flight (
    log INTEGER NOT NULL, seq INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (log, seq)
);
ALTER TABLE log DROP COLUMN in_flight;
-- Posts that are not in the index yet.
CREATE TABLE post_new (key INTEGER PRIMARY KEY);
-- Counted for 32 entries each, no longer for 256.
DELETE FROM post_count;
INSERT INTO post_count (chunk, posts, mentions)
    SELECT key >> 11, COUNT(*), SUM(flags >> 1 & 1) FROM post WHERE status = 0 AND flags & 1 = 0 GROUP BY key >> 11;
