-- Numbers stand for ids (meshes.n, devices.n, logs.n, bodies.n). A key "owner * 2^39 + position" keeps what belongs to one
-- owner together and in order. Times are milliseconds unless named days. Every bytes column is sealed, signed or a hash.

CREATE TABLE store (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    store_id BLOB NOT NULL,
    commits  INTEGER NOT NULL
);

CREATE TABLE meshes (n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE);

-- key: mesh, index. member: whose daily allowance the entry counts against.
CREATE TABLE roster (key INTEGER PRIMARY KEY, hash BLOB NOT NULL, at INTEGER NOT NULL, member BLOB, entry BLOB NOT NULL);

CREATE TABLE devices (
    n           INTEGER PRIMARY KEY,
    mesh        INTEGER NOT NULL,
    id          BLOB NOT NULL,
    last_mail   INTEGER NOT NULL DEFAULT 0,
    mail_rows   INTEGER NOT NULL DEFAULT 0,
    last_notice INTEGER NOT NULL DEFAULT 0,
    removed     INTEGER NOT NULL DEFAULT 0,
    min_expires INTEGER,
    UNIQUE (mesh, id)
);
CREATE INDEX devices_expiring ON devices (min_expires) WHERE min_expires IS NOT NULL;

-- prekeys: be32 id and be64 end of use, repeated.
CREATE TABLE records (device INTEGER PRIMARY KEY, counter INTEGER NOT NULL, prekeys BLOB NOT NULL, record BLOB NOT NULL);

-- The last accepted envelope of a sender, as its welcome proves it.
CREATE TABLE proofs (device INTEGER PRIMARY KEY, proof BLOB NOT NULL);

-- Accepted seqs as runs, for as long as both devices are live.
CREATE TABLE runs (
    sender    INTEGER NOT NULL,
    recipient INTEGER NOT NULL,
    lane      INTEGER NOT NULL,
    runs      BLOB NOT NULL,
    PRIMARY KEY (sender, recipient, lane)
) WITHOUT ROWID;
CREATE INDEX runs_recipient ON runs (recipient);

-- Envelope hash of every id used in the last days; day: days since 1970.
CREATE TABLE ids (
    sender  INTEGER NOT NULL,
    id      BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    hash    BLOB NOT NULL,
    day     INTEGER NOT NULL,
    PRIMARY KEY (sender, id, attempt)
) WITHOUT ROWID;

-- Attempts that ended refused by the recipient: a higher one may follow.
CREATE TABLE refused (
    sender    INTEGER NOT NULL,
    recipient INTEGER NOT NULL,
    id        BLOB NOT NULL,
    attempt   INTEGER NOT NULL,
    lane      INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (sender, recipient, id)
) WITHOUT ROWID;
CREATE INDEX refused_recipient ON refused (recipient);

-- key: recipient, offset. envelope: inside the row when it has one recipient, else in bodies.
CREATE TABLE mail (
    key       INTEGER PRIMARY KEY,
    sender    INTEGER NOT NULL,
    id        BLOB NOT NULL,
    attempt   INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    lane      INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    body      INTEGER,
    record    BLOB NOT NULL,
    member_of BLOB NOT NULL,
    envelope  BLOB
);

-- Mail that waits for its time; it moves to the end of the mailbox when due.
CREATE TABLE scheduled (
    n         INTEGER PRIMARY KEY,
    recipient INTEGER NOT NULL,
    due       INTEGER NOT NULL,
    sender    INTEGER NOT NULL,
    id        BLOB NOT NULL,
    attempt   INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    lane      INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    body      INTEGER,
    record    BLOB NOT NULL,
    member_of BLOB NOT NULL,
    envelope  BLOB
);
CREATE INDEX scheduled_due ON scheduled (due);
CREATE INDEX scheduled_recipient ON scheduled (recipient);

-- Envelopes with several recipients. The count is apart so that it changes without rewriting the envelope.
CREATE TABLE bodies (n INTEGER PRIMARY KEY AUTOINCREMENT, envelope BLOB NOT NULL);
CREATE TABLE body_refs (n INTEGER PRIMARY KEY, refs INTEGER NOT NULL);

-- key: device, offset. A receipt part, or id and recipient of an expired copy.
CREATE TABLE notices (
    key       INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    recipient INTEGER,
    attempt   INTEGER,
    bytes     BLOB NOT NULL
);

-- chain: chain hash at the tail. state: the fold's own bytes.
CREATE TABLE logs (
    n     INTEGER PRIMARY KEY,
    mesh  INTEGER NOT NULL,
    id    BLOB NOT NULL,
    tail  INTEGER NOT NULL,
    chain BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    state BLOB NOT NULL,
    UNIQUE (mesh, id)
);

-- key: log, offset. entry: NULL once a compaction dropped it.
CREATE TABLE log_entries (key INTEGER PRIMARY KEY, hash BLOB NOT NULL, chain BLOB NOT NULL, entry BLOB);

-- Where an author's numbered entry stands, for as long as the author is live.
CREATE TABLE log_seqs (
    author INTEGER NOT NULL,
    log    INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    pos    INTEGER NOT NULL,
    PRIMARY KEY (author, log, seq)
) WITHOUT ROWID;
