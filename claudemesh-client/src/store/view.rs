//! Views: what members see of their rooms, as tables folded from the records of logs.
//!
//! Owns those tables and which records are valid where they stand (`docs/protocol.md` §8). It does not know entries,
//! epochs, sockets or who asks. Each record is taken once, inside the transaction that stores its entry. Records whose
//! meaning depends on those before them are kept as they came: when one comes late, its room is folded anew.

mod batch;
pub(crate) mod compact;
pub(crate) mod erase;
pub(crate) mod event;
pub(crate) mod group;
pub(crate) mod memory;
pub(crate) mod notification;
pub(crate) mod post;
mod rebuild;
pub(crate) mod retention;
mod role;
pub(crate) mod search;
mod sql;
pub(crate) mod state;
pub(crate) mod task;
#[cfg(test)]
mod tests;
pub(crate) mod topic;
pub(crate) mod unread;

use std::collections::BTreeMap;

use claudemesh_core::codec::Bytes;
use claudemesh_core::log::Record;
use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::record::{RoomRecord, TopicInfo, TopicMember};
use claudemesh_core::{DeviceId, MemberId};
use rusqlite::{Connection, Row, params};

/// What kind of room a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The mesh's own log.
    Mesh,
    /// The topic that every mesh has.
    General,
    /// Any other topic.
    Topic,
}

/// The records of one entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// Its log's row.
    pub(crate) room: i64,
    /// Its mesh's row.
    pub(crate) mesh: i64,
    pub(crate) scope: Scope,
    /// The member this home belongs to.
    pub(crate) own: MemberId,
    pub(crate) offset: u64,
    pub(crate) author: DeviceId,
    /// The author's member.
    pub(crate) member: MemberId,
    /// Whether that member was admin or owner where the entry was judged.
    pub(crate) is_admin: bool,
    /// Now, in milliseconds.
    pub(crate) now: i64,
    /// Whether entries of higher offsets may have been applied before.
    pub(crate) late: bool,
    /// Whether this home was in the mesh when it was written.
    pub(crate) witnessed: bool,
    /// Whether later entries are judged by the roster index that it is the first to name.
    pub(crate) raises: bool,
    pub(crate) records: &'a [Record],
}

/// A room and for whom it is folded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    n: i64,
    mesh: i64,
    scope: Scope,
    own: MemberId,
    now: i64,
    /// Whether what is new is told to who listens.
    tells: bool,
}

impl Room {
    /// A room, by its row and its mesh's, of which nothing is told.
    pub(crate) const fn new((n, mesh): (i64, i64), scope: Scope, own: MemberId, now: i64) -> Self {
        Self { n, mesh, scope, own, now, tells: false }
    }
}

/// Who wrote a record.
#[derive(Clone, Copy, Debug)]
struct Author {
    member: MemberId,
    device: DeviceId,
    is_admin: bool,
}

/// Bits of a key that tell the index in the entry.
const INDEX_BITS: u32 = 6;
/// Bits of a key below the room.
const ROOM_BITS: u32 = 45;
const LAST_OFFSET: u64 = (1 << (ROOM_BITS - INDEX_BITS)) - 1;
const LAST_INDEX: u64 = (1 << INDEX_BITS) - 1;

/// The key of a record. Addresses beyond all records get the last key of the room.
const fn key(room: i64, (offset, index): RecordAt) -> i64 {
    let place = if offset > LAST_OFFSET {
        (1 << ROOM_BITS) - 1
    } else {
        offset << INDEX_BITS | if index > LAST_INDEX { LAST_INDEX } else { index }
    };
    room << ROOM_BITS | place as i64
}

/// The address of the record with this key.
const fn address(key: i64) -> RecordAt {
    ((key as u64 >> INDEX_BITS) & LAST_OFFSET, key as u64 & LAST_INDEX)
}

/// The room of the record with this key.
const fn room_of(key: i64) -> i64 {
    key >> ROOM_BITS
}

/// The lowest and the highest key of a room.
const fn span(room: i64) -> (i64, i64) {
    (room << ROOM_BITS, key(room, (LAST_OFFSET, LAST_INDEX)))
}

/// Applies one entry.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn apply(tx: &Connection, entry: &Entry<'_>) -> rusqlite::Result<()> {
    apply_all(tx, std::slice::from_ref(entry))
}

/// Applies entries, in their order; a room into which records came late is folded anew once, at the end.
pub(crate) fn apply_all(tx: &Connection, entries: &[Entry<'_>]) -> rusqlite::Result<()> {
    let (mut stale, mut batch) = (BTreeMap::new(), batch::Batch::new(tx));
    for entry in entries {
        let room = Room {
            n: entry.room,
            mesh: entry.mesh,
            scope: entry.scope,
            own: entry.own,
            now: entry.now,
            tells: entry.witnessed,
        };
        if entry.raises {
            stay(tx, key(entry.room, (entry.offset, 0)))?;
        }
        let author = Author { member: entry.member, device: entry.author, is_admin: entry.is_admin };
        for (index, record) in (0..).zip(entry.records) {
            let key = key(entry.room, (entry.offset, index));
            // Names, the mesh's label and broadcasts are the directory's.
            if entry.scope == Scope::Mesh && matches!(record.kind, 1..=3) {
                stay(tx, key)?;
                continue;
            }
            match RoomRecord::decode(record).ok().filter(|read| has_place(read, entry.scope)) {
                Some(RoomRecord::Post(post)) => post::insert(&mut batch, &room, &author, key, &post)?,
                Some(RoomRecord::Memory(memory)) => memory::insert(tx, &room, &author, key, &memory)?,
                Some(read) => {
                    if !keep(tx, &author, key, record)? {
                        continue;
                    }
                    if changes_roles(&read) {
                        batch.forget_verdicts(room.n);
                    }
                    if stale.contains_key(&room.n) || (entry.late && rebuild::is_behind(tx, &read, key)?) {
                        stale.insert(room.n, room);
                    } else if !fold(tx, &room, &author, key, &read)? {
                        refuse(tx, key)?;
                    }
                }
                None => {
                    ignore(tx, room.n, 1)?;
                    stay(tx, key)?;
                }
            }
        }
    }
    batch.flush()?;
    stale.values().try_for_each(|room| rebuild::rebuild(tx, room))
}

/// Whether records of this kind have a place in rooms of this kind.
const fn has_place(record: &RoomRecord, scope: Scope) -> bool {
    match record {
        RoomRecord::Topic(_) | RoomRecord::GroupMember(_) => matches!(scope, Scope::Mesh),
        RoomRecord::TopicInfo(_) => matches!(scope, Scope::Topic),
        RoomRecord::Post(_)
        | RoomRecord::ThreadResolved(_)
        | RoomRecord::TopicMember(_)
        | RoomRecord::TopicRetention(_) => !matches!(scope, Scope::Mesh),
        _ => true,
    }
}

/// Keeps a record; not when it is there already.
fn keep(tx: &Connection, author: &Author, key: i64, record: &Record) -> rusqlite::Result<bool> {
    sql::run(
        tx,
        "INSERT OR IGNORE INTO room_record (key, kind, admin, member, device, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            key,
            record.kind as i64,
            author.is_admin,
            author.member.as_bytes(),
            author.device.as_bytes(),
            &record.data.0
        ],
    )
    .map(|rows| rows == 1)
}

/// A kept record, from its columns `kind, admin, member, device, data` at `column`.
fn kept(row: &Row<'_>, column: usize) -> rusqlite::Result<(Author, Option<RoomRecord>)> {
    let author = Author {
        is_admin: row.get(column + 1)?,
        member: sql::member(row, column + 2)?,
        device: sql::device(row, column + 3)?,
    };
    let record = Record { kind: row.get::<_, i64>(column)? as u64, data: Bytes(row.get(column + 4)?) };
    Ok((author, RoomRecord::decode(&record).ok()))
}

/// Applies a record that follows all kept ones. Says whether it is valid.
fn fold(tx: &Connection, room: &Room, author: &Author, key: i64, record: &RoomRecord) -> rusqlite::Result<bool> {
    match record {
        RoomRecord::Topic(it) => topic::announce(tx, room, it),
        RoomRecord::TopicInfo(it) => role::describe(tx, room, author, key, it),
        RoomRecord::TopicMember(it) => role::assign(tx, room, author, key, it),
        RoomRecord::ThreadResolved(it) => topic::resolve(tx, room, author, key, it),
        RoomRecord::TopicRetention(it) => retention::set(tx, room, author, key, it),
        RoomRecord::GroupMember(it) => group::change(tx, room, author, it),
        RoomRecord::StateSet(it) => state::put(tx, room, author, key, &it.key, it.expected),
        RoomRecord::StateDeleted(it) => state::put(tx, room, author, key, &it.key, it.expected),
        RoomRecord::Forgotten(it) => memory::forget(tx, room, author, key, it),
        RoomRecord::Task(it) => task::open(tx, room, author, key, it),
        RoomRecord::TaskClaimed(it) => task::claim(tx, room, author, key, it),
        RoomRecord::TaskReleased(it) => task::release(tx, room, author, key, it),
        RoomRecord::TaskCompleted(it) => task::complete(tx, room, author, key, it),
        _ => Ok(false),
    }
}

/// Whether a record can change what its author's and others' later posts are worth.
const fn changes_roles(record: &RoomRecord) -> bool {
    matches!(record.kind(), TopicInfo::KIND | TopicMember::KIND)
}

/// Marks a kept record that changed nothing.
fn refuse(tx: &Connection, key: i64) -> rusqlite::Result<()> {
    sql::run(tx, "INSERT OR IGNORE INTO room_refused (key) VALUES (?1)", [key]).map(drop)
}

/// The entry of this record is not to be compacted.
fn stay(tx: &Connection, key: i64) -> rusqlite::Result<()> {
    sql::run(tx, "INSERT OR IGNORE INTO room_stays (key) VALUES (?1)", [key & !(LAST_INDEX as i64)]).map(drop)
}

/// Whether the record at this address took effect. Only for records whose meaning depends on those before them.
pub(crate) fn took_effect(db: &Connection, room: i64, at: RecordAt) -> rusqlite::Result<bool> {
    sql::exists(
        db,
        "SELECT 1 FROM room_record WHERE key = ?1 AND NOT EXISTS (SELECT 1 FROM room_refused WHERE key = ?1)",
        [key(room, at)],
    )
}

/// Counts more or fewer records that changed nothing.
fn ignore(tx: &Connection, room: i64, records: i64) -> rusqlite::Result<()> {
    sql::run(
        tx,
        "INSERT INTO room_ignored (room, records) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET records = records + excluded.records",
        [room, records],
    )
    .map(drop)
}

/// How many records of a room are invalid or unknown.
#[cfg(test)]
fn ignored(db: &Connection, room: i64) -> rusqlite::Result<u64> {
    let (low, high) = span(room);
    let sql = "SELECT COALESCE((SELECT records FROM room_ignored WHERE room = ?1), 0)
               + (SELECT COUNT(*) FROM room_refused WHERE key BETWEEN ?2 AND ?3)";
    db.query_row(sql, [room, low, high], |row| row.get::<_, i64>(0)).map(|count| count as u64)
}
