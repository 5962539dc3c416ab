//! The store's tables and how a file gets them.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::db_error;
use crate::error::{Error, ErrorKind};

/// Marks the file as ours ("clms").
const APPLICATION_ID: i64 = 0x636c_6d73;
/// Migrations in order; the file's `user_version` is how many it has.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/001_initial.sql"),
    include_str!("migrations/002_logs.sql"),
    include_str!("migrations/003_views.sql"),
    include_str!("migrations/004_flights.sql"),
    include_str!("migrations/005_life.sql"),
    include_str!("migrations/006_requests.sql"),
    include_str!("migrations/007_sessions.sql"),
];

/// Pages of the write-ahead log before they move to the database.
const LOG_PAGES: u64 = 4000;

/// Positions of the feed that a start skips; no process gives out as many without a sync.
const SKIPPED: i64 = 1 << 20;

/// Opens and migrates.
pub(super) fn open(path: Option<&Path>) -> Result<Connection, Error> {
    let mut db = match path {
        Some(path) => {
            create_private(path)?;
            Connection::open(path).map_err(db_error)?
        }
        None => Connection::open_in_memory().map_err(db_error)?,
    };
    db.execute_batch(&format!(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA fullfsync = ON;
         PRAGMA wal_autocheckpoint = {LOG_PAGES}; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON;"
    ))
    .map_err(db_error)?;
    db.set_prepared_statement_cache_capacity(256);
    // Plans that do not depend on what is bound: otherwise binding a range makes SQLite plan its query anew.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(db_error)?;
    migrate(&mut db)?;
    if path.is_some() {
        skip_positions(&db).map_err(db_error)?;
    }
    Ok(db)
}

/// The last positions before a power failure may be known to others and gone here: they are not given out again.
///
/// This writes at every start, for another reason: it syncs what an earlier process committed and left to the system. Only
/// what is on disk may be confirmed to the broker.
fn skip_positions(db: &Connection) -> rusqlite::Result<()> {
    let known = db.execute("UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name = 'event'", [SKIPPED])?;
    if known == 0 {
        db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('event', ?1)", [SKIPPED])?;
    }
    Ok(())
}

/// The file exists with owner-only permissions before SQLite writes secrets into it.
fn create_private(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::OpenOptionsExt;
    let opened = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    opened.map(|_| ()).map_err(|error| {
        Error::new(ErrorKind::Unwritable, format!("cannot write {}", path.display()))
            .with_hint("check the permissions and the free space of the home")
            .with_source(error)
    })
}

fn migrate(db: &mut Connection) -> Result<(), Error> {
    let pragma =
        |db: &Connection, name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(db_error);
    let version = usize::try_from(pragma(db, "user_version")?).unwrap_or(usize::MAX);
    let application = pragma(db, "application_id")?;
    if (version > 0 || application != 0) && application != APPLICATION_ID {
        return Err(Error::new(ErrorKind::Corrupt, "the store file belongs to another program; it was left as it is")
            .with_hint("point CLAUDEMESH_HOME to another folder"));
    }
    if version > MIGRATIONS.len() {
        return Err(Error::new(ErrorKind::Corrupt, "the store was written by a newer version; it was left as it is")
            .with_hint("use that version of claudemesh"));
    }
    let pending = &MIGRATIONS[version..];
    if pending.is_empty() {
        return Ok(());
    }
    let tx = db.transaction().map_err(db_error)?;
    for sql in pending {
        tx.execute_batch(sql).map_err(db_error)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(db_error)?;
    tx.pragma_update(None, "user_version", MIGRATIONS.len() as i64).map_err(db_error)?;
    tx.commit().map_err(db_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(db: &Connection, sql: &str) -> i64 {
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn every_start_writes_through_and_skips_positions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        for start in 1..4 {
            let db = open(Some(&path)).unwrap();
            assert_eq!(number(&db, "PRAGMA synchronous"), 2, "a commit is synced");
            assert_eq!(number(&db, "SELECT seq FROM sqlite_sequence WHERE name = 'event'"), start * SKIPPED);
        }
        let db = open(Some(&path)).unwrap();
        db.execute("INSERT INTO event (mesh, kind) VALUES (1, 2)", []).unwrap();
        assert_eq!(db.last_insert_rowid(), 4 * SKIPPED + 1);
    }
}
