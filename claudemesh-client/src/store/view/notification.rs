//! What concerns the own member: mentions, replies, tasks, memberships.

use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::record::{RoomRecord, TopicRole};
use claudemesh_core::{MemberId, MessageId};
use rusqlite::{Connection, params};

use super::post::{self, MENTIONS_OWN, OWN, PostRow, SHOWN};
use super::{Room, address, event, key as key_of, room_of, span, sql};

/// Why there is a notification: `notification.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Mention = 1,
    Reply = 2,
    Task = 3,
    Membership = 4,
}

/// What a notification is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A post that mentions the own member.
    Mention(PostRow),
    /// A post that answers an own one.
    Reply(PostRow),
    /// A task for the own member.
    Task { id: MessageId, title: String, by: MemberId },
    /// A role in a topic.
    Membership { role: TopicRole, by: MemberId },
}

/// A notification. Room and address of the record name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotificationRow {
    pub(crate) room: i64,
    pub(crate) at: RecordAt,
    /// When it came here, in milliseconds.
    pub(crate) received_at: u64,
    pub(crate) read: bool,
    pub(crate) subject: Subject,
}

pub(super) fn put(tx: &Connection, room: &Room, key: i64, kind: Kind) -> rusqlite::Result<()> {
    let new = sql::run(
        tx,
        "INSERT OR IGNORE INTO notification (key, mesh, kind, at) VALUES (?1, ?2, ?3, ?4)",
        params![key, room.mesh, kind as i64, room.now],
    )?;
    if new == 0 {
        return sql::run(tx, "UPDATE notification SET kind = ?2 WHERE key = ?1", [key, kind as i64]).map(drop);
    }
    if room.tells { event::notification(tx, room, key) } else { Ok(()) }
}

/// Makes or drops the notification of a post, by what is known of it now.
pub(super) fn renew(tx: &Connection, room: &Room, key: i64) -> rusqlite::Result<()> {
    let found = sql::first(tx, "SELECT status, flags, reply_to FROM post WHERE key = ?1", [key], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, sql::some_message(row, 2)?))
    })?;
    let kind = match found {
        Some((SHOWN, flags, _)) if flags & MENTIONS_OWN != 0 => Some(Kind::Mention),
        Some((SHOWN, flags, Some(id))) if flags & OWN == 0 && is_own(tx, room.n, &id)? => Some(Kind::Reply),
        _ => None,
    };
    match kind {
        Some(kind) => put(tx, room, key, kind),
        None => sql::run(tx, "DELETE FROM notification WHERE key = ?1", [key]).map(drop),
    }
}

/// As [`renew`] for all posts that answer one.
pub(super) fn renew_replies(tx: &Connection, room: &Room, id: &MessageId) -> rusqlite::Result<()> {
    let (low, high) = span(room.n);
    let replies = sql::all(
        tx,
        "SELECT key FROM post WHERE reply_to = ?1 AND key BETWEEN ?2 AND ?3",
        params![id.as_bytes(), low, high],
        |row| row.get(0),
    )?;
    replies.into_iter().try_for_each(|key| renew(tx, room, key))
}

/// Whether an own post of the room has this id.
fn is_own(tx: &Connection, room: i64, id: &MessageId) -> rusqlite::Result<bool> {
    let (low, high) = span(room);
    sql::exists(
        tx,
        "SELECT 1 FROM post WHERE id = ?1 AND key BETWEEN ?2 AND ?3 AND status = 0 AND flags & 1 <> 0",
        params![id.as_bytes(), low, high],
    )
}

/// Marks what is about to be folded anew; [`put`] confirms it.
pub(super) fn doubt(tx: &Connection, room: i64) -> rusqlite::Result<()> {
    let (low, high) = span(room);
    sql::run(tx, "UPDATE notification SET kind = -kind WHERE key BETWEEN ?1 AND ?2 AND kind IN (3, 4)", [low, high])
        .map(drop)
}

/// Drops what [`doubt`] marked and nothing confirmed.
pub(super) fn drop_doubted(tx: &Connection, room: i64) -> rusqlite::Result<()> {
    let (low, high) = span(room);
    sql::run(tx, "DELETE FROM notification WHERE key BETWEEN ?1 AND ?2 AND kind < 0", [low, high]).map(drop)
}

/// Notifications of a mesh, the newest first.
pub(crate) fn notifications(
    db: &Connection,
    mesh: i64,
    unread: bool,
    limit: u32,
) -> rusqlite::Result<Vec<NotificationRow>> {
    let only = if unread { "AND read_at IS NULL" } else { "" };
    let sql = format!(
        "SELECT key, kind, at, read_at IS NOT NULL FROM notification WHERE mesh = ?1 {only}
         ORDER BY at DESC, key DESC LIMIT ?2"
    );
    let found = sql::all(db, &sql, params![mesh, limit], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, bool>(3)?))
    })?;
    let mut rows = Vec::with_capacity(found.len());
    for found in found {
        rows.extend(row(db, found)?);
    }
    Ok(rows)
}

/// A notification by its key.
pub(super) fn one(db: &Connection, key: i64) -> rusqlite::Result<Option<NotificationRow>> {
    let found =
        sql::first(db, "SELECT key, kind, at, read_at IS NOT NULL FROM notification WHERE key = ?1", [key], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, bool>(3)?))
        })?;
    found.map_or(Ok(None), |found| row(db, found))
}

fn row(db: &Connection, (key, kind, at, read): (i64, i64, i64, bool)) -> rusqlite::Result<Option<NotificationRow>> {
    let row = |subject| NotificationRow { room: room_of(key), at: address(key), received_at: at as u64, read, subject };
    Ok(subject(db, key, kind)?.map(row))
}

fn subject(db: &Connection, key: i64, kind: i64) -> rusqlite::Result<Option<Subject>> {
    if kind == Kind::Mention as i64 || kind == Kind::Reply as i64 {
        let sql = format!("SELECT {} FROM post WHERE key = ?1", post::COLUMNS);
        let post = sql::first(db, &sql, [key], post::read)?;
        return Ok(post.map(if kind == Kind::Mention as i64 { Subject::Mention } else { Subject::Reply }));
    }
    let record =
        sql::first(db, "SELECT kind, admin, member, device, data FROM room_record WHERE key = ?1", [key], |row| {
            super::kept(row, 0)
        })?;
    Ok(match record {
        Some((by, Some(RoomRecord::Task(task)))) => {
            Some(Subject::Task { id: task.id, title: task.title, by: by.member })
        }
        Some((by, Some(RoomRecord::TopicMember(change)))) => {
            Some(Subject::Membership { role: change.role, by: by.member })
        }
        _ => None,
    })
}

/// How many notifications of a mesh are unread.
#[cfg(test)]
pub(crate) fn unread(db: &Connection, mesh: i64) -> rusqlite::Result<u64> {
    let count =
        sql::first(db, "SELECT COUNT(*) FROM notification WHERE mesh = ?1 AND read_at IS NULL", [mesh], |row| {
            row.get::<_, i64>(0)
        })?;
    Ok(count.unwrap_or(0) as u64)
}

/// Whether there is such a notification.
pub(crate) fn exists(db: &Connection, mesh: i64, room: i64, at: RecordAt) -> rusqlite::Result<bool> {
    sql::exists(db, "SELECT 1 FROM notification WHERE key = ?2 AND mesh = ?1", [mesh, key_of(room, at)])
}

/// Marks one notification of a mesh as read. Says whether there was an unread one.
pub(crate) fn mark_read(tx: &Connection, mesh: i64, room: i64, at: RecordAt, now: i64) -> rusqlite::Result<bool> {
    sql::run(
        tx,
        "UPDATE notification SET read_at = ?3 WHERE key = ?2 AND mesh = ?1 AND read_at IS NULL",
        [mesh, key_of(room, at), now],
    )
    .map(|rows| rows > 0)
}

/// Marks all notifications of a mesh as read that came until `through`. Says how many there were.
pub(crate) fn mark_all_read(tx: &Connection, mesh: i64, through: u64, now: i64) -> rusqlite::Result<u64> {
    sql::run(
        tx,
        "UPDATE notification SET read_at = ?3 WHERE mesh = ?1 AND at <= ?2 AND read_at IS NULL",
        [mesh, i64::try_from(through).unwrap_or(i64::MAX), now],
    )
    .map(|rows| rows as u64)
}

/// Drops notifications of posts that were read before `before`. Those of tasks and topics would come again when their
/// room is folded anew.
pub(crate) fn sweep(tx: &Connection, before: i64) -> rusqlite::Result<()> {
    sql::run(tx, "DELETE FROM notification WHERE read_at < ?1 AND kind IN (1, 2)", [before]).map(drop)
}
