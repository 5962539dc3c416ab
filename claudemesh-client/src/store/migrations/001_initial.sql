-- Meshes of this home. The device key never leaves this row.
CREATE TABLE mesh (
    id INTEGER PRIMARY KEY,
    mesh BLOB NOT NULL UNIQUE,
    device_seed BLOB NOT NULL,
    label TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    broker_url TEXT NOT NULL,
    broker_key BLOB NOT NULL,
    insecure INTEGER NOT NULL,
    embedded INTEGER NOT NULL,
    state TEXT NOT NULL,
    selected INTEGER NOT NULL DEFAULT 0,
    -- Names known from the invite until the members' own records are read: CBOR.
    hints BLOB
);
-- Single values of a session: prekeys, resume, log_reader, log_seq, own_status.
CREATE TABLE value (mesh INTEGER NOT NULL, key TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (mesh, key)) WITHOUT ROWID;
CREATE TABLE roster (mesh INTEGER NOT NULL, idx INTEGER NOT NULL, entry BLOB NOT NULL, PRIMARY KEY (mesh, idx)) WITHOUT ROWID;
CREATE TABLE record (mesh INTEGER NOT NULL, device BLOB NOT NULL, record BLOB NOT NULL, PRIMARY KEY (mesh, device)) WITHOUT ROWID;
CREATE TABLE log_entry (mesh INTEGER NOT NULL, offset INTEGER NOT NULL, entry BLOB NOT NULL, PRIMARY KEY (mesh, offset)) WITHOUT ROWID;
-- Messages on their way out, with content and sealed bytes.
CREATE TABLE outbox (mesh INTEGER NOT NULL, id BLOB NOT NULL, data BLOB NOT NULL, PRIMARY KEY (mesh, id));
-- How far each recipient of a sent message has got. Not visible: copies and claims.
CREATE TABLE sent (
    mesh INTEGER NOT NULL, id BLOB NOT NULL, device BLOB NOT NULL, member BLOB NOT NULL,
    state INTEGER NOT NULL, reason TEXT, at INTEGER NOT NULL, visible INTEGER NOT NULL,
    PRIMARY KEY (mesh, id, device)
) WITHOUT ROWID;
CREATE TABLE fingerprint (mesh INTEGER NOT NULL, id BLOB NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (mesh, id)) WITHOUT ROWID;
CREATE TABLE next_seq (mesh INTEGER NOT NULL, device BLOB NOT NULL, lane INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (mesh, device, lane)) WITHOUT ROWID;
-- Applied sequence numbers as runs.
CREATE TABLE seen (mesh INTEGER NOT NULL, device BLOB NOT NULL, lane INTEGER NOT NULL, runs BLOB NOT NULL, PRIMARY KEY (mesh, device, lane)) WITHOUT ROWID;
CREATE TABLE inbox (
    row INTEGER PRIMARY KEY,
    mesh INTEGER NOT NULL, device BLOB NOT NULL, id BLOB NOT NULL, member BLOB NOT NULL,
    from_session TEXT, session TEXT NOT NULL, addressed BLOB NOT NULL,
    kind INTEGER NOT NULL, body BLOB NOT NULL,
    sent_at INTEGER NOT NULL, received_at INTEGER NOT NULL, priority INTEGER NOT NULL, reply_to BLOB,
    copy INTEGER NOT NULL, hops INTEGER NOT NULL, hash BLOB, read_at INTEGER
);
CREATE UNIQUE INDEX inbox_name ON inbox (mesh, device, id);
CREATE INDEX inbox_unread ON inbox (mesh, session, row) WHERE read_at IS NULL AND copy = 0;
-- The feed: a position is never used again.
CREATE TABLE event (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    mesh INTEGER NOT NULL,
    kind INTEGER NOT NULL,      -- 1 message (ref = inbox row), 2 receipt, 3 roster
    ref INTEGER,
    id BLOB, member BLOB, state INTEGER, text TEXT
);
CREATE TABLE consumer (mesh INTEGER NOT NULL, name TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (mesh, name)) WITHOUT ROWID;
CREATE TABLE invite (mesh INTEGER NOT NULL, id BLOB NOT NULL, link TEXT NOT NULL, PRIMARY KEY (mesh, id)) WITHOUT ROWID;
