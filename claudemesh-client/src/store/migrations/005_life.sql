-- Retention and compaction.

-- Whether an entry that does not open yet is the first to name its roster index; entries of before count as such.
ALTER TABLE log_link ADD COLUMN raises INTEGER;

-- Folded from `room_record`: how long posts are kept, 0 for ever.
CREATE TABLE topic_retention (room INTEGER PRIMARY KEY, seconds INTEGER NOT NULL);

-- Posts past their retention: what is needed to know them again. status as in `post`.
CREATE TABLE post_erased (
    key INTEGER PRIMARY KEY, status INTEGER NOT NULL, sent_at INTEGER NOT NULL, id BLOB NOT NULL, member BLOB NOT NULL
);
CREATE INDEX post_erased_id ON post_erased (id);

-- Entries that are not to be compacted, by the key of their first record: with records that are in no table here, or the
-- first to name a roster index.
CREATE TABLE room_stays (key INTEGER PRIMARY KEY);
-- Of entries taken before there was this table nobody knows.
INSERT OR IGNORE INTO room_stays SELECT DISTINCT key & ~63 FROM room_record;
INSERT OR IGNORE INTO room_stays SELECT DISTINCT key & ~63 FROM post;
INSERT OR IGNORE INTO room_stays SELECT DISTINCT key & ~63 FROM memory;
