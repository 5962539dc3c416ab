//! Topics: what there is, what it is called, who is in it, which threads are settled.

use claudemesh_core::record::{GENERAL, ThreadResolved, Topic, TopicRole};
use claudemesh_core::{LogId, MemberId, MeshId, MessageId};
use rusqlite::{Connection, params};

use super::role::{self, Standing};
use super::unread::{self, Unread};
use super::{Author, Room, post, retention, sql};

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicRow {
    pub(crate) log: LogId,
    /// Its row, when its log is known here.
    pub(crate) room: Option<i64>,
    pub(crate) name: String,
    pub(crate) purpose: Option<String>,
    pub(crate) private: bool,
    /// Whether the name is the mesh's: that of #general or of an announced topic. Other names are what the topic says of
    /// itself, and another one may say the same.
    pub(crate) announced: bool,
    pub(crate) followed: bool,
    /// What the own member is in it.
    pub(crate) role: TopicRole,
    pub(crate) unread: Unread,
    pub(crate) last: Option<post::PostRow>,
    /// For how many seconds posts are kept; none for ever.
    pub(crate) retention: Option<u64>,
}

/// For whom topics are listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer<'a> {
    /// The mesh's row.
    pub(crate) mesh: i64,
    pub(crate) id: MeshId,
    pub(crate) own: MemberId,
    /// Whether the own member is admin or owner now.
    pub(crate) is_admin: bool,
    /// The session that reads.
    pub(crate) session: &'a str,
}

/// What is known of a topic before its room is looked at.
struct Found {
    log: LogId,
    room: Option<i64>,
    followed: bool,
    announced: bool,
    name: String,
    purpose: Option<String>,
    private: bool,
}

/// All topics of a mesh that are known here, #general first, the others by name.
pub(crate) fn topics(db: &Connection, viewer: &Viewer<'_>) -> rusqlite::Result<Vec<TopicRow>> {
    let mut found = vec![general(db, viewer)?];
    found.extend(sql::all(
        db,
        "SELECT log, room, followed, announced, name, purpose, private FROM (
             SELECT public.log, log.n AS room, COALESCE(log.followed, 0) AS followed, 1 AS announced, public.name AS name,
                    CASE WHEN info.room IS NULL THEN public.purpose ELSE info.purpose END AS purpose,
                    COALESCE(info.private, 0) AS private
             FROM topic_public AS public
             LEFT JOIN log ON log.mesh = ?1 AND log.id = public.log
             LEFT JOIN topic_info AS info ON info.room = log.n
             WHERE public.room IN (SELECT n FROM log WHERE mesh = ?1)
             UNION ALL
             SELECT log.id, log.n, log.followed, 0, info.name, info.purpose, info.private
             FROM log JOIN topic_info AS info ON info.room = log.n
             WHERE log.mesh = ?1 AND NOT EXISTS (
                 SELECT 1 FROM topic_public AS public
                 WHERE public.room IN (SELECT n FROM log WHERE mesh = ?1) AND public.log = log.id
             )
         ) ORDER BY name, announced DESC, log",
        [viewer.mesh],
        |row| {
            Ok(Found {
                log: sql::log(row, 0)?,
                room: row.get(1)?,
                followed: row.get(2)?,
                announced: row.get(3)?,
                name: row.get(4)?,
                purpose: row.get(5)?,
                private: row.get(6)?,
            })
        },
    )?);
    found.into_iter().map(|topic| look(db, viewer, topic)).collect()
}

/// The topics of this name: more than one when topics that are not announced say they are called so too.
pub(crate) fn by_name(db: &Connection, viewer: &Viewer<'_>, name: &str) -> rusqlite::Result<Vec<TopicRow>> {
    Ok(topics(db, viewer)?.into_iter().filter(|topic| topic.name == name).collect())
}

fn general(db: &Connection, viewer: &Viewer<'_>) -> rusqlite::Result<Found> {
    let log = LogId::of_general(&viewer.id);
    let row = sql::first(
        db,
        "SELECT n, followed FROM log WHERE mesh = ?1 AND id = ?2",
        params![viewer.mesh, log.as_bytes()],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)),
    )?;
    Ok(Found {
        log,
        room: row.map(|(room, _)| room),
        followed: row.is_some_and(|(_, followed)| followed),
        announced: true,
        name: GENERAL.to_owned(),
        purpose: None,
        private: false,
    })
}

fn look(db: &Connection, viewer: &Viewer<'_>, found: Found) -> rusqlite::Result<TopicRow> {
    let held = match found.room {
        Some(room) => sql::first(
            db,
            "SELECT role FROM topic_role WHERE room = ?1 AND member = ?2 ORDER BY key DESC LIMIT 1",
            params![room, viewer.own.as_bytes()],
            |row| row.get(0),
        )?,
        None => None,
    };
    let role = match Standing::from_code(held).role {
        _ if found.log != LogId::of_general(&viewer.id) => Standing::from_code(held).role,
        _ if viewer.is_admin => TopicRole::Lead,
        TopicRole::Observer => TopicRole::Observer,
        _ => TopicRole::Member,
    };
    let retention = found.room.map_or(Ok(None), |room| retention::of(db, room))?;
    let (unread, last) = match found.room {
        Some(room) => {
            (unread::unread(db, room, viewer.session)?, post::history(db, room, post::Range::default(), 1)?.pop())
        }
        None => (Unread::default(), None),
    };
    Ok(TopicRow {
        log: found.log,
        room: found.room,
        name: found.name,
        purpose: found.purpose,
        private: found.private,
        announced: found.announced,
        followed: found.followed,
        role,
        unread,
        last,
        retention,
    })
}

/// Everybody in a topic. Of #general only those are given who were made observers: everyone else of the mesh is in it.
pub(crate) fn members(db: &Connection, room: i64) -> rusqlite::Result<Vec<(MemberId, TopicRole)>> {
    role::current(db, room)
}

/// Who left a topic, or was removed from it, and did not come back.
pub(crate) fn left(db: &Connection, room: i64) -> rusqlite::Result<Vec<MemberId>> {
    role::left(db, room)
}

/// Whether a thread is settled.
pub(super) fn is_resolved(db: &Connection, room: i64, id: &MessageId) -> rusqlite::Result<bool> {
    let resolved = sql::first(
        db,
        "SELECT resolved FROM thread WHERE room = ?1 AND id = ?2",
        params![room, id.as_bytes()],
        |row| row.get(0),
    )?;
    Ok(resolved.unwrap_or(false))
}

/// A public topic is announced in the mesh's own log.
pub(super) fn announce(tx: &Connection, room: &Room, topic: &Topic) -> rusqlite::Result<bool> {
    let mesh = sql::first(tx, "SELECT mesh FROM mesh WHERE id = ?1", [room.mesh], |row| row.get(0))?;
    if let Some(mesh) = mesh.map(MeshId::from_bytes)
        && [LogId::of_mesh(&mesh), LogId::of_general(&mesh)].contains(&topic.log)
    {
        return Ok(false);
    }
    sql::run(
        tx,
        "INSERT OR IGNORE INTO topic_public (room, name, log, purpose) VALUES (?1, ?2, ?3, ?4)",
        params![room.n, topic.name.as_str(), topic.log.as_bytes(), topic.purpose],
    )
    .map(|rows| rows == 1)
}

/// A thread is settled, or is not any more.
pub(super) fn resolve(
    tx: &Connection,
    room: &Room,
    author: &Author,
    key: i64,
    change: &ThreadResolved,
) -> rusqlite::Result<bool> {
    if !role::may_write(tx, room, author, key)? {
        return Ok(false);
    }
    sql::run(
        tx,
        "INSERT OR REPLACE INTO thread (room, id, resolved) VALUES (?1, ?2, ?3)",
        params![room.n, change.id.as_bytes(), change.resolved],
    )?;
    Ok(true)
}
