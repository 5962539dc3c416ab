//! Tasks.

use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::record::{RoomRecord, Task, TaskClaimed, TaskCompleted, TaskReleased, fence};
use claudemesh_core::{DeviceId, MemberId, MessageId};
use rusqlite::{Connection, Row, params};

use super::notification::{self, Kind};
use super::{Author, Room, address, role, room_of, sql};

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TaskStatus {
    /// Free to be claimed.
    Open,
    /// Open, but a task it depends on is not done.
    Blocked,
    Claimed,
    Done,
}

/// Who works on a task, or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimRow {
    pub(crate) member: MemberId,
    pub(crate) session: Option<String>,
    pub(crate) at: RecordAt,
    pub(crate) fence: u64,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskRow {
    pub(crate) room: i64,
    pub(crate) at: RecordAt,
    pub(crate) id: MessageId,
    pub(crate) member: MemberId,
    pub(crate) device: DeviceId,
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    /// Milliseconds, by the author's clock.
    pub(crate) written_at: u64,
    pub(crate) assignee: Option<MemberId>,
    pub(crate) status: TaskStatus,
    pub(crate) depends_on: Vec<MessageId>,
    /// Those of them that are not done.
    pub(crate) waits_for: Vec<MessageId>,
    pub(crate) claim: Option<ClaimRow>,
    pub(crate) result: Option<String>,
    pub(crate) completed_at: Option<RecordAt>,
}

/// Which tasks of a mesh.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TaskFilter {
    pub(crate) mesh: i64,
    pub(crate) room: Option<i64>,
    pub(crate) status: Option<TaskStatus>,
    pub(crate) assignee: Option<MemberId>,
    pub(crate) claimant: Option<MemberId>,
    pub(crate) limit: usize,
}

/// What is known of a task without its texts.
struct Known {
    room: i64,
    id: MessageId,
    key: i64,
    depends_on: Vec<MessageId>,
    assignee: Option<MemberId>,
    claim: Option<i64>,
    claimant: Option<MemberId>,
    completion: Option<i64>,
}

const COLUMNS: &str = "room, id, key, depends_on, assignee, claim, claimant, completion";

fn known(row: &Row<'_>) -> rusqlite::Result<Known> {
    Ok(Known {
        room: row.get(0)?,
        id: sql::message(row, 1)?,
        key: row.get(2)?,
        depends_on: sql::ids(row.get_ref(3)?.as_blob_or_null()?, MessageId::from_bytes),
        assignee: sql::some_member(row, 4)?,
        claim: row.get(5)?,
        claimant: sql::some_member(row, 6)?,
        completion: row.get(7)?,
    })
}

fn find(db: &Connection, room: i64, id: &MessageId) -> rusqlite::Result<Option<Known>> {
    let sql = format!("SELECT {COLUMNS} FROM task WHERE room = ?1 AND id = ?2");
    sql::first(db, &sql, params![room, id.as_bytes()], known)
}

impl Known {
    /// Whether it is claimed under this fence.
    fn is_held(&self, under: u64) -> bool {
        self.completion.is_none() && self.claim.is_some_and(|claim| fence(address(claim)) == under)
    }

    /// The tasks it depends on that are not done.
    fn waits_for(&self, db: &Connection) -> rusqlite::Result<Vec<MessageId>> {
        let mut open = Vec::new();
        for id in &self.depends_on {
            let done = sql::exists(
                db,
                "SELECT 1 FROM task WHERE room = ?1 AND id = ?2 AND completion IS NOT NULL",
                params![self.room, id.as_bytes()],
            )?;
            if !done {
                open.push(*id);
            }
        }
        Ok(open)
    }

    fn status(&self, waits_for: &[MessageId]) -> TaskStatus {
        match (self.completion, self.claim) {
            (Some(_), _) => TaskStatus::Done,
            (None, Some(_)) => TaskStatus::Claimed,
            (None, None) if waits_for.is_empty() => TaskStatus::Open,
            (None, None) => TaskStatus::Blocked,
        }
    }
}

/// A task is made.
pub(super) fn open(tx: &Connection, room: &Room, author: &Author, key: i64, task: &Task) -> rusqlite::Result<bool> {
    let depends_on: Option<Vec<u8>> =
        (!task.depends_on.is_empty()).then(|| task.depends_on.iter().flat_map(|id| *id.as_bytes()).collect());
    let new = sql::run(
        tx,
        "INSERT OR IGNORE INTO task (room, id, key, depends_on, assignee) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![room.n, task.id.as_bytes(), key, depends_on, task.assignee.as_ref().map(MemberId::as_bytes)],
    )?;
    if new == 1 && task.assignee == Some(room.own) && author.member != room.own {
        notification::put(tx, room, key, Kind::Task)?;
    }
    Ok(new == 1)
}

/// Somebody takes a task.
pub(super) fn claim(
    tx: &Connection,
    room: &Room,
    author: &Author,
    key: i64,
    claim: &TaskClaimed,
) -> rusqlite::Result<bool> {
    let Some(task) = find(tx, room.n, &claim.id)? else { return Ok(false) };
    let may = task.assignee.is_none_or(|assignee| assignee == author.member);
    if !may || task.status(&task.waits_for(tx)?) != TaskStatus::Open {
        return Ok(false);
    }
    sql::run(
        tx,
        "UPDATE task SET claim = ?3, claimant = ?4 WHERE room = ?1 AND id = ?2",
        params![room.n, claim.id.as_bytes(), key, author.member.as_bytes()],
    )?;
    Ok(true)
}

/// Somebody gives a task back, or takes it from its claimant.
pub(super) fn release(
    tx: &Connection,
    room: &Room,
    author: &Author,
    key: i64,
    release: &TaskReleased,
) -> rusqlite::Result<bool> {
    let Some(task) = find(tx, room.n, &release.id)?.filter(|task| task.is_held(release.fence)) else {
        return Ok(false);
    };
    if task.claimant != Some(author.member) && !author.is_admin && !role::leads(tx, room, author, key)? {
        return Ok(false);
    }
    sql::run(
        tx,
        "UPDATE task SET claim = NULL, claimant = NULL WHERE room = ?1 AND id = ?2",
        params![room.n, release.id.as_bytes()],
    )?;
    Ok(true)
}

/// Somebody is done with a task.
pub(super) fn complete(
    tx: &Connection,
    room: &Room,
    author: &Author,
    key: i64,
    done: &TaskCompleted,
) -> rusqlite::Result<bool> {
    let held = find(tx, room.n, &done.id)?.filter(|task| task.is_held(done.fence));
    if held.is_none_or(|task| task.claimant != Some(author.member)) {
        return Ok(false);
    }
    sql::run(
        tx,
        "UPDATE task SET completion = ?3 WHERE room = ?1 AND id = ?2",
        params![room.n, done.id.as_bytes(), key],
    )?;
    Ok(true)
}

/// Tasks that fit, the oldest first.
pub(crate) fn tasks(db: &Connection, filter: &TaskFilter) -> rusqlite::Result<Vec<TaskRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM task
         WHERE room IN (SELECT n FROM log WHERE mesh = ?1) AND (?2 IS NULL OR room = ?2)
         AND (?3 IS NULL OR assignee = ?3) AND (?4 IS NULL OR claimant = ?4) ORDER BY key"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![
        filter.mesh,
        filter.room,
        filter.assignee.as_ref().map(MemberId::as_bytes),
        filter.claimant.as_ref().map(MemberId::as_bytes)
    ])?;
    let mut found = Vec::new();
    while found.len() < filter.limit
        && let Some(row) = rows.next()?
    {
        let task = known(row)?;
        let waits_for = task.waits_for(db)?;
        if filter.status.is_none_or(|status| task.status(&waits_for) == status) {
            found.extend(read(db, task, waits_for)?);
        }
    }
    Ok(found)
}

/// The tasks of a mesh, or of one room, by room and id; only that of one id when it is given.
pub(crate) fn ids(
    db: &Connection,
    mesh: i64,
    room: Option<i64>,
    id: Option<&MessageId>,
) -> rusqlite::Result<Vec<(i64, MessageId)>> {
    // The id is asked for room by room: there are few rooms and many tasks.
    let which = if id.is_some() { "AND task.id = ?3" } else { "AND ?3 IS NULL" };
    let sql = format!(
        "SELECT task.room, task.id FROM log CROSS JOIN task ON task.room = log.n {which}
         WHERE log.mesh = ?1 AND (?2 IS NULL OR log.n = ?2)"
    );
    sql::all(db, &sql, params![mesh, room, id.map(MessageId::as_bytes)], |row| Ok((row.get(0)?, sql::message(row, 1)?)))
}

/// One task of a room.
pub(crate) fn task(db: &Connection, room: i64, id: &MessageId) -> rusqlite::Result<Option<TaskRow>> {
    let Some(task) = find(db, room, id)? else { return Ok(None) };
    let waits_for = task.waits_for(db)?;
    read(db, task, waits_for)
}

fn record(db: &Connection, key: i64) -> rusqlite::Result<Option<(Author, Option<RoomRecord>)>> {
    sql::first(db, "SELECT kind, admin, member, device, data FROM room_record WHERE key = ?1", [key], |row| {
        super::kept(row, 0)
    })
}

/// A task with its texts.
fn read(db: &Connection, known: Known, waits_for: Vec<MessageId>) -> rusqlite::Result<Option<TaskRow>> {
    let Some((author, Some(RoomRecord::Task(task)))) = record(db, known.key)? else { return Ok(None) };
    let claim = match known.claim {
        Some(key) => record(db, key)?.and_then(|(author, record)| match record {
            Some(RoomRecord::TaskClaimed(claim)) => {
                let at = address(key);
                Some(ClaimRow { member: author.member, session: claim.session, at, fence: fence(at) })
            }
            _ => None,
        }),
        None => None,
    };
    let result = match known.completion {
        Some(key) => record(db, key)?.and_then(|(_, record)| match record {
            Some(RoomRecord::TaskCompleted(done)) => done.result,
            _ => None,
        }),
        None => None,
    };
    Ok(Some(TaskRow {
        room: room_of(known.key),
        at: address(known.key),
        id: known.id,
        member: author.member,
        device: author.device,
        title: task.title,
        body: task.body,
        written_at: task.at.0,
        assignee: known.assignee,
        status: known.status(&waits_for),
        depends_on: task.depends_on,
        waits_for,
        claim,
        result,
        completed_at: known.completion.map(address),
    }))
}
