-- Sessions that hosts run on this device, as JSON.
CREATE TABLE host_session (name TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID;
-- Members who may write to sessions that ask their user for nothing.
CREATE TABLE permitted (mesh INTEGER NOT NULL, member BLOB NOT NULL, PRIMARY KEY (mesh, member)) WITHOUT ROWID;
-- How much sessions are told at most, by name.
CREATE TABLE host_limit (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
-- What became of a received message in its session: the notice that tells of it, when that was written to the session and
-- how often, when the host confirmed it, and what its sender was told of its waiting.
CREATE TABLE handing (
    inbox INTEGER PRIMARY KEY, notice TEXT, posted_at INTEGER, posts INTEGER NOT NULL DEFAULT 0, injected_at INTEGER,
    told INTEGER
);
CREATE INDEX handing_notice ON handing (notice) WHERE notice IS NOT NULL;
-- Whether the sender named no session, so that any may have it.
ALTER TABLE inbox ADD COLUMN bare INTEGER NOT NULL DEFAULT 0;
-- The session of the recipient's that was addressed or has it, and why it waits there.
ALTER TABLE sent ADD COLUMN session TEXT;
ALTER TABLE sent ADD COLUMN wait TEXT;
