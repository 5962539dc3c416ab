-- Logs of every kind in place of the mesh's own alone, which is read again from the broker.
DROP TABLE log_entry;
DELETE FROM value WHERE key IN ('log_reader', 'log_seq');

-- policy: CBOR. reader: the reader's snapshot, with epoch secrets. in_flight: CBOR.
CREATE TABLE log (
    n INTEGER PRIMARY KEY,
    mesh INTEGER NOT NULL,
    id BLOB NOT NULL,
    followed INTEGER NOT NULL,
    policy BLOB NOT NULL,
    reader BLOB,
    next_seq INTEGER NOT NULL DEFAULT 1,
    epoch_offset INTEGER NOT NULL DEFAULT 0,
    epoch_at INTEGER NOT NULL DEFAULT 0,
    in_flight BLOB,
    UNIQUE (mesh, id)
);
-- The chain as it was verified. key: log * 2^39 + offset. epoch, roster: what opens an entry that does not open yet.
CREATE TABLE log_link (key INTEGER PRIMARY KEY, chain BLOB NOT NULL, kind INTEGER, epoch INTEGER, roster INTEGER);
CREATE INDEX log_link_sealed ON log_link (key) WHERE epoch IS NOT NULL;
-- Records that wait to be written.
CREATE TABLE log_queue (
    mesh INTEGER NOT NULL, ticket INTEGER NOT NULL, log INTEGER NOT NULL, kind INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (mesh, ticket)
) WITHOUT ROWID;
-- Names and labels read in the mesh's own log.
CREATE TABLE directory (
    mesh INTEGER NOT NULL, offset INTEGER NOT NULL, device BLOB NOT NULL, member BLOB NOT NULL, admin INTEGER NOT NULL,
    records BLOB NOT NULL, PRIMARY KEY (mesh, offset)
) WITHOUT ROWID;
