-- Views: what members see of rooms. A room is a row of `log`; the key of a record is room * 2^45 + offset * 64 + index.

-- Records whose meaning depends on those before them, as they came. What is folded from them can be folded anew.
CREATE TABLE room_record (
    key INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL, admin INTEGER NOT NULL, member BLOB NOT NULL, device BLOB NOT NULL, data BLOB NOT NULL
);
-- Those of them that changed nothing.
CREATE TABLE room_refused (key INTEGER PRIMARY KEY);
-- How many others changed nothing.
CREATE TABLE room_ignored (room INTEGER PRIMARY KEY, records INTEGER NOT NULL);

-- Folded from `room_record`.
CREATE TABLE topic_public (
    room INTEGER NOT NULL, name TEXT NOT NULL, log BLOB NOT NULL, purpose TEXT, PRIMARY KEY (room, name)
) WITHOUT ROWID;
CREATE UNIQUE INDEX topic_public_log ON topic_public (room, log);
-- `since`: the key from which on the topic is what it is.
CREATE TABLE topic_info (
    room INTEGER PRIMARY KEY, since INTEGER NOT NULL, private INTEGER NOT NULL, name TEXT NOT NULL, purpose TEXT
);
-- Every change of a role: it holds from `key` on.
CREATE TABLE topic_role (
    room INTEGER NOT NULL, member BLOB NOT NULL, key INTEGER NOT NULL, role INTEGER NOT NULL, PRIMARY KEY (room, member, key)
) WITHOUT ROWID;
CREATE TABLE thread (
    room INTEGER NOT NULL, id BLOB NOT NULL, resolved INTEGER NOT NULL, PRIMARY KEY (room, id)
) WITHOUT ROWID;
CREATE TABLE group_member (
    room INTEGER NOT NULL, path TEXT NOT NULL, member BLOB NOT NULL, role TEXT, PRIMARY KEY (room, path, member)
) WITHOUT ROWID;
-- `key`: the version, where the value stands in `room_record`.
CREATE TABLE state (
    room INTEGER NOT NULL, name TEXT NOT NULL, key INTEGER NOT NULL, PRIMARY KEY (room, name)
) WITHOUT ROWID;
CREATE UNIQUE INDEX state_version ON state (key);
-- `key`, `claim` and `completion`: where the texts stand in `room_record`.
CREATE TABLE task (
    room INTEGER NOT NULL, id BLOB NOT NULL, key INTEGER NOT NULL, depends_on BLOB, assignee BLOB,
    claim INTEGER, claimant BLOB, completion INTEGER, PRIMARY KEY (room, id)
) WITHOUT ROWID;
CREATE TABLE forgotten (
    room INTEGER NOT NULL, member BLOB NOT NULL, id BLOB NOT NULL, PRIMARY KEY (room, member, id)
) WITHOUT ROWID;

-- status: 0 shown, 1 refused, 2 repeated. flags: 1 own, 2 mentions the own member, 4 by an admin.
CREATE TABLE post (
    key INTEGER PRIMARY KEY,
    status INTEGER NOT NULL, flags INTEGER NOT NULL, sent_at INTEGER NOT NULL,
    id BLOB NOT NULL, member BLOB NOT NULL, reply_to BLOB, device BLOB NOT NULL, session TEXT, mentions BLOB, text TEXT NOT NULL
);
CREATE INDEX post_id ON post (id);
CREATE INDEX post_reply ON post (reply_to) WHERE reply_to IS NOT NULL;
-- Shown posts of others, and those of them that mention the own member, by the upper bits of their keys.
CREATE TABLE post_count (chunk INTEGER PRIMARY KEY, posts INTEGER NOT NULL, mentions INTEGER NOT NULL);
CREATE TABLE topic_read (
    room INTEGER NOT NULL, session TEXT NOT NULL, key INTEGER NOT NULL, PRIMARY KEY (room, session)
) WITHOUT ROWID;

-- Tags: a JSON list. Erased: forgotten, without its text.
CREATE TABLE memory (
    key INTEGER PRIMARY KEY,
    erased INTEGER NOT NULL, at INTEGER NOT NULL, id BLOB NOT NULL, member BLOB NOT NULL, device BLOB NOT NULL,
    tags TEXT NOT NULL, text TEXT NOT NULL
);
CREATE INDEX memory_id ON memory (id);
CREATE VIEW memory_shown (key, text, tags) AS SELECT key, text, tags FROM memory WHERE erased = 0;

-- kind: 1 mention, 2 reply, 3 task, 4 membership.
CREATE TABLE notification (
    key INTEGER PRIMARY KEY, mesh INTEGER NOT NULL, kind INTEGER NOT NULL, at INTEGER NOT NULL, read_at INTEGER
);
CREATE INDEX notification_at ON notification (mesh, at);

CREATE VIRTUAL TABLE post_text USING fts5 (
    text, content = 'post', content_rowid = 'key', tokenize = "unicode61 remove_diacritics 2"
);
CREATE VIRTUAL TABLE memory_text USING fts5 (
    text, tags, content = 'memory_shown', content_rowid = 'key', tokenize = "unicode61 remove_diacritics 2"
);
-- What is deleted leaves the index at once, not when its pages happen to be merged.
INSERT INTO post_text (post_text, rank) VALUES ('secure-delete', 1);
INSERT INTO memory_text (memory_text, rank) VALUES ('secure-delete', 1);
