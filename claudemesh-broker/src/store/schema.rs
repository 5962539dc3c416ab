//! Opening a database: permissions, pragmas, migrations.

use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rand_core::CryptoRng;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::{StoreError, wal};

/// The schema this version writes.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;
/// Marks the file as ours ("clmb").
const APPLICATION_ID: i64 = 0x636c_6d62;
/// Migrations in order; the file's `user_version` is how many it has.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001.sql")];

/// Pages of the write-ahead log before they move to the database.
const LOG_PAGES: u64 = 8000;
const PAGE: u64 = 4096 + 24;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(Code::DiskFull) => Self::DiskFull,
            Some(Code::NotADatabase) => Self::Foreign,
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Self::Locked,
            Some(Code::DatabaseCorrupt) => Self::Corrupt(error.to_string()),
            _ => Self::Io(error.to_string()),
        }
    }
}

/// Opens the file with owner-only permissions; the lock is held as long as the returned file lives.
pub(super) fn open_file(path: &Path, rng: &mut impl CryptoRng) -> Result<(Connection, File), StoreError> {
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let lock = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path.with_extension("lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Err(StoreError::Locked),
        Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
    }
    std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let mut db = Connection::open(path)?;
    prepare(&mut db, rng)?;
    wal::reserve(path, LOG_PAGES * PAGE);
    Ok((db, lock))
}

pub(super) fn open_memory(rng: &mut impl CryptoRng) -> Result<Connection, StoreError> {
    let mut db = Connection::open_in_memory()?;
    prepare(&mut db, rng)?;
    Ok(db)
}

fn prepare(db: &mut Connection, rng: &mut impl CryptoRng) -> Result<(), StoreError> {
    db.execute_batch(&format!(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = {LOG_PAGES}; PRAGMA cache_size = -65536;"
    ))?;
    db.set_prepared_statement_cache_capacity(128);
    // Plans that do not depend on what is bound: otherwise binding a range makes SQLite plan its query anew.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    migrate(db, rng)
}

fn migrate(db: &mut Connection, rng: &mut impl CryptoRng) -> Result<(), StoreError> {
    let pragma = |db: &Connection, name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (found, application) = (pragma(db, "user_version")?, pragma(db, "application_id")?);
    let known = VERSION;
    let tables: i64 = db.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (application != 0 || found != 0 || tables != 0) {
        return Err(StoreError::Foreign);
    }
    if found > known {
        return Err(StoreError::UnknownSchema { found, known });
    }
    if found == known {
        return Ok(());
    }
    // All or nothing: a crash in between leaves the file as it was.
    let tx = db.transaction()?;
    for sql in &MIGRATIONS[usize::try_from(found).unwrap_or(0)..] {
        tx.execute_batch(sql)?;
    }
    if found == 0 {
        let mut store_id = [0; 16];
        rng.fill_bytes(&mut store_id);
        tx.execute("INSERT INTO store (one, store_id, commits) VALUES (1, ?1, 0)", [store_id])?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", known)?;
    tx.commit()?;
    Ok(())
}
