-- Changes of rooms that their callers named, and what became of them: `ticket` while one waits to be written, then its
-- place in the log.
CREATE TABLE request (
    mesh INTEGER NOT NULL, id BLOB NOT NULL, hash BLOB NOT NULL, at INTEGER NOT NULL,
    ticket INTEGER, offset INTEGER, idx INTEGER, PRIMARY KEY (mesh, id)
) WITHOUT ROWID;
CREATE INDEX request_ticket ON request (mesh, ticket) WHERE ticket IS NOT NULL;
CREATE INDEX request_at ON request (at);
