//! State: values under keys.

use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::record::{RoomRecord, StateKey};
use claudemesh_core::{DeviceId, MemberId};
use rusqlite::{Connection, Row, params};

use super::{Author, Room, address, key as key_of, role, span, sql};

/// What is under a key, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateRow {
    pub(crate) key: String,
    /// A JSON text; none when it was deleted or is past its time.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) version: RecordAt,
    pub(crate) expires: Option<u64>,
    /// Who set or deleted it.
    pub(crate) member: MemberId,
    pub(crate) device: DeviceId,
}

/// A value is set or deleted: either way the key has a new version.
pub(super) fn put(
    tx: &Connection,
    room: &Room,
    author: &Author,
    key: i64,
    name: &StateKey,
    expected: Option<RecordAt>,
) -> rusqlite::Result<bool> {
    if !role::may_write(tx, room, author, key)? {
        return Ok(false);
    }
    if let Some(expected) = expected {
        let version = sql::first(
            tx,
            "SELECT key FROM state WHERE room = ?1 AND name = ?2",
            params![room.n, name.as_str()],
            |row| row.get(0).map(address),
        )?;
        if expected != version.unwrap_or((0, 0)) {
            return Ok(false);
        }
    }
    sql::run(
        tx,
        "INSERT INTO state (room, name, key) VALUES (?1, ?2, ?3) ON CONFLICT (room, name) DO UPDATE SET key = excluded.key",
        params![room.n, name.as_str(), key],
    )?;
    Ok(true)
}

const COLUMNS: &str = "state.name, state.key, record.kind, record.admin, record.member, record.device, record.data";

fn read(row: &Row<'_>, now: u64) -> rusqlite::Result<StateRow> {
    let (author, record) = super::kept(row, 2)?;
    let (value, expires) = match record {
        Some(RoomRecord::StateSet(set)) => (Some(set.value.0), set.expires.map(|at| at.0)),
        _ => (None, None),
    };
    Ok(StateRow {
        key: row.get(0)?,
        value: value.filter(|_| expires.is_none_or(|at| now < at)),
        version: row.get(1).map(address)?,
        expires,
        member: author.member,
        device: author.device,
    })
}

/// What is under a key at `now`, in milliseconds; none when nothing ever was.
pub(crate) fn get(db: &Connection, room: i64, key: &str, now: u64) -> rusqlite::Result<Option<StateRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM state JOIN room_record AS record ON record.key = state.key
         WHERE state.room = ?1 AND state.name = ?2"
    );
    sql::first(db, &sql, params![room, key], |row| read(row, now))
}

/// Values under keys that start with `prefix`, after the key `after`, by key.
pub(crate) fn list(
    db: &Connection,
    room: i64,
    prefix: &str,
    after: Option<&str>,
    now: u64,
    limit: usize,
) -> rusqlite::Result<Vec<StateRow>> {
    let (from, bound) = match after {
        Some(after) if after >= prefix => (after, ">"),
        _ => (prefix, ">="),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM state JOIN room_record AS record ON record.key = state.key
         WHERE state.room = ?1 AND state.name {bound} ?2 ORDER BY state.name"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![room, from])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if found.len() == limit || !row.get_ref(0)?.as_str()?.starts_with(prefix) {
            break;
        }
        found.extend(Some(read(row, now)?).filter(|state| state.value.is_some()));
    }
    Ok(found)
}

/// What was set or deleted after a version, in this order; of each key the last.
pub(crate) fn changes(
    db: &Connection,
    room: i64,
    after: RecordAt,
    now: u64,
    limit: u32,
) -> rusqlite::Result<Vec<StateRow>> {
    let (_, high) = span(room);
    let sql = format!(
        "SELECT {COLUMNS} FROM state JOIN room_record AS record ON record.key = state.key
         WHERE state.key > ?1 AND state.key <= ?2 ORDER BY state.key LIMIT ?3"
    );
    sql::all(db, &sql, params![key_of(room, after), high, limit], |row| read(row, now))
}

/// The version of the room's state: that of the key changed last.
pub(crate) fn version(db: &Connection, room: i64) -> rusqlite::Result<RecordAt> {
    let (low, high) = span(room);
    let last = sql::first(db, "SELECT MAX(key) FROM state WHERE key BETWEEN ?1 AND ?2", [low, high], |row| {
        row.get::<_, Option<i64>>(0)
    })?;
    Ok(last.flatten().map_or((0, 0), address))
}
