//! What rooms remember.

use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::record::{Forgotten, Memory};
use claudemesh_core::{DeviceId, MemberId, MessageId};
use rusqlite::{Connection, Row, params};

use super::search::{self, Query, Snippet};
use super::{Author, Room, address, ignore, role, room_of, span, sql};

/// A memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryRow {
    pub(crate) room: i64,
    pub(crate) at: RecordAt,
    pub(crate) id: MessageId,
    pub(crate) member: MemberId,
    pub(crate) device: DeviceId,
    pub(crate) text: String,
    pub(crate) tags: Vec<String>,
    /// Milliseconds, by the author's clock.
    pub(crate) written_at: u64,
    /// Where the query was found.
    pub(crate) snippet: Option<Snippet>,
}

/// Which memories of a mesh.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recall<'a> {
    pub(crate) mesh: i64,
    /// Only those of this room.
    pub(crate) room: Option<i64>,
    /// The best first; without a query the newest.
    pub(crate) query: Option<&'a Query>,
    /// Only those with all of these tags.
    pub(crate) tags: &'a [String],
    pub(crate) limit: u32,
}

const COLUMNS: &str = "memory.key, memory.id, memory.member, memory.device, memory.text, memory.tags, memory.at";

fn read(row: &Row<'_>) -> rusqlite::Result<MemoryRow> {
    let key: i64 = row.get(0)?;
    let tags: String = row.get(5)?;
    Ok(MemoryRow {
        room: room_of(key),
        at: address(key),
        id: sql::message(row, 1)?,
        member: sql::member(row, 2)?,
        device: sql::device(row, 3)?,
        text: row.get(4)?,
        tags: serde_json::from_str(&tags).unwrap_or_default(),
        written_at: row.get::<_, i64>(6)? as u64,
        snippet: None,
    })
}

/// Memories that fit.
pub(crate) fn recall(db: &Connection, wanted: &Recall<'_>) -> rusqlite::Result<Vec<MemoryRow>> {
    let tags = json(wanted.tags);
    // Tags as a JSON list bound to a parameter: every wanted one is among the memory's.
    let fits = "memory.erased = 0
         AND (memory.key >> 45) IN (SELECT n FROM log WHERE mesh = ?1)
         AND (?2 IS NULL OR memory.key >> 45 = ?2)
         AND NOT EXISTS (SELECT 1 FROM json_each(?3) AS want WHERE want.value NOT IN (SELECT value FROM json_each(memory.tags)))";
    match wanted.query {
        Some(query) => {
            let sql = format!(
                "SELECT {COLUMNS}, snippet(memory_text, 0, char(2), char(3), '…', {words})
                 FROM memory_text JOIN memory ON memory.key = memory_text.rowid
                 WHERE memory_text MATCH ?5 AND {fits} ORDER BY rank LIMIT ?4",
                words = search::SNIPPET_WORDS
            );
            let found = params![wanted.mesh, wanted.room, tags, wanted.limit, query.as_fts()];
            sql::all(db, &sql, found, |row| {
                let snippet = Some(Snippet::parse(&row.get::<_, String>(7)?));
                Ok(MemoryRow { snippet, ..read(row)? })
            })
        }
        None => {
            let sql =
                format!("SELECT {COLUMNS} FROM memory WHERE {fits} ORDER BY memory.at DESC, memory.key DESC LIMIT ?4");
            sql::all(db, &sql, params![wanted.mesh, wanted.room, tags, wanted.limit], read)
        }
    }
}

/// The memories of a room with this id: several members may have given it.
pub(crate) fn by_id(db: &Connection, room: i64, id: &MessageId) -> rusqlite::Result<Vec<MemoryRow>> {
    let (low, high) = span(room);
    let sql =
        format!("SELECT {COLUMNS} FROM memory WHERE id = ?1 AND key BETWEEN ?2 AND ?3 AND erased = 0 ORDER BY key");
    sql::all(db, &sql, params![id.as_bytes(), low, high], read)
}

fn json(tags: &[String]) -> String {
    serde_json::Value::from(tags).to_string()
}

/// Applies a memory. The first of a name counts, wherever the others come.
pub(super) fn insert(tx: &Connection, room: &Room, author: &Author, key: i64, memory: &Memory) -> rusqlite::Result<()> {
    let (low, high) = span(room.n);
    let other = sql::first(
        tx,
        "SELECT key FROM memory WHERE id = ?1 AND key BETWEEN ?2 AND ?3 AND member = ?4",
        params![memory.id.as_bytes(), low, high, author.member.as_bytes()],
        |row| row.get::<_, i64>(0),
    )?;
    match other {
        Some(other) if other == key => return Ok(()),
        Some(other) if other < key => {
            super::stay(tx, key)?;
            return ignore(tx, room.n, 1);
        }
        Some(other) => {
            erase(tx, other)?;
            sql::run(tx, "DELETE FROM memory WHERE key = ?1", [other])?;
            super::stay(tx, other)?;
            ignore(tx, room.n, 1)?;
        }
        None => {}
    }
    let forgotten = sql::exists(
        tx,
        "SELECT 1 FROM forgotten WHERE room = ?1 AND member = ?2 AND id = ?3",
        params![room.n, author.member.as_bytes(), memory.id.as_bytes()],
    )?;
    let (tags, text) = if forgotten { (json(&[]), "") } else { (json(&memory.tags), memory.text.as_str()) };
    sql::run(
        tx,
        "INSERT INTO memory (key, erased, at, id, member, device, tags, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            key,
            forgotten,
            memory.at.0 as i64,
            memory.id.as_bytes(),
            author.member.as_bytes(),
            author.device.as_bytes(),
            tags,
            text
        ],
    )?;
    if !forgotten {
        sql::run(tx, "INSERT INTO memory_text (rowid, text, tags) VALUES (?1, ?2, ?3)", params![key, text, tags])?;
    }
    Ok(())
}

/// A memory is to be forgotten, and so it is, for good.
pub(super) fn forget(
    tx: &Connection,
    room: &Room,
    author: &Author,
    key: i64,
    what: &Forgotten,
) -> rusqlite::Result<bool> {
    let allowed = author.member == what.member || author.is_admin || role::leads(tx, room, author, key)?;
    if !allowed {
        return Ok(false);
    }
    sql::run(
        tx,
        "INSERT OR IGNORE INTO forgotten (room, member, id) VALUES (?1, ?2, ?3)",
        params![room.n, what.member.as_bytes(), what.id.as_bytes()],
    )?;
    let (low, high) = span(room.n);
    let known = sql::first(
        tx,
        "SELECT key FROM memory WHERE id = ?1 AND key BETWEEN ?2 AND ?3 AND member = ?4",
        params![what.id.as_bytes(), low, high, what.member.as_bytes()],
        |row| row.get(0),
    )?;
    known.map_or(Ok(()), |key| erase(tx, key))?;
    Ok(true)
}

/// Takes a memory out of the room.
pub(super) fn remove(tx: &Connection, key: i64) -> rusqlite::Result<()> {
    erase(tx, key)?;
    sql::run(tx, "DELETE FROM memory WHERE key = ?1", [key]).map(drop)
}

/// Erases the text of a memory, from the index too.
fn erase(tx: &Connection, key: i64) -> rusqlite::Result<()> {
    sql::run(
        tx,
        "INSERT INTO memory_text (memory_text, rowid, text, tags)
         SELECT 'delete', key, text, tags FROM memory WHERE key = ?1 AND erased = 0",
        [key],
    )?;
    sql::run(tx, "UPDATE memory SET erased = 1, text = '', tags = '[]' WHERE key = ?1 AND erased = 0", [key]).map(drop)
}
