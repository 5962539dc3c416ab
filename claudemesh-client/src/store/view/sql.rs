//! Statements and columns.

use claudemesh_core::{DeviceId, LogId, MemberId, MessageId};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};

/// A statement held while it runs again and again: to look it up costs as much as to run it.
#[derive(Default)]
pub(super) struct Held<'tx>(Option<CachedStatement<'tx>>);

impl<'tx> Held<'tx> {
    /// The statement; always the same one.
    pub(super) fn get(&mut self, tx: &'tx Connection, sql: &str) -> rusqlite::Result<&mut CachedStatement<'tx>> {
        match &mut self.0 {
            Some(statement) => Ok(statement),
            none => Ok(none.insert(tx.prepare_cached(sql)?)),
        }
    }
}

/// Runs a statement; says how many rows it changed.
pub(super) fn run(db: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
    db.prepare_cached(sql)?.execute(params)
}

/// The first row.
pub(super) fn first<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    db.prepare_cached(sql)?.query_row(params, read).optional()
}

/// Whether there is a row.
pub(super) fn exists(db: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<bool> {
    db.prepare_cached(sql)?.exists(params)
}

/// All rows.
pub(super) fn all<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    db.prepare_cached(sql)?.query_map(params, read)?.collect()
}

pub(super) fn member(row: &Row<'_>, column: usize) -> rusqlite::Result<MemberId> {
    row.get(column).map(MemberId::from_bytes)
}

pub(super) fn some_member(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<MemberId>> {
    Ok(row.get::<_, Option<[u8; 32]>>(column)?.map(MemberId::from_bytes))
}

pub(super) fn device(row: &Row<'_>, column: usize) -> rusqlite::Result<DeviceId> {
    row.get(column).map(DeviceId::from_bytes)
}

pub(super) fn message(row: &Row<'_>, column: usize) -> rusqlite::Result<MessageId> {
    row.get(column).map(MessageId::from_bytes)
}

pub(super) fn some_message(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<MessageId>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(MessageId::from_bytes))
}

pub(super) fn log(row: &Row<'_>, column: usize) -> rusqlite::Result<LogId> {
    row.get(column).map(LogId::from_bytes)
}

/// Several ids in one column, end to end.
pub(super) fn ids<const N: usize, T>(bytes: Option<&[u8]>, make: impl Fn([u8; N]) -> T) -> Vec<T> {
    let chunks = bytes.unwrap_or_default().as_chunks::<N>().0;
    chunks.iter().map(|chunk| make(*chunk)).collect()
}
