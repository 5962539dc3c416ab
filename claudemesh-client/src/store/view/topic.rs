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
}

/// What there is to read in a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) unread: Unread,
    pub(crate) last: Option<post::PostRow>,
    /// For how many seconds posts are kept; none for ever.
    pub(crate) retention: Option<u64>,
}

/// For whom topics are listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer {
    /// The mesh's row.
    pub(crate) mesh: i64,
    pub(crate) id: MeshId,
    pub(crate) own: MemberId,
    /// Whether the own member is admin or owner now.
    pub(crate) is_admin: bool,
}

/// All topics of a mesh that are known here, #general first, the others by name.
pub(crate) fn topics(db: &Connection, viewer: &Viewer) -> rusqlite::Result<Vec<TopicRow>> {
    let mut found = vec![general(db, viewer)?];
    found.extend(sql::all(
        db,
        "SELECT log, room, followed, announced, name, purpose, private,
                (SELECT role FROM topic_role WHERE room = found.room AND member = ?2 ORDER BY key DESC LIMIT 1)
         FROM (
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
         ) AS found ORDER BY name, announced DESC, log",
        params![viewer.mesh, viewer.own.as_bytes()],
        |row| {
            Ok(TopicRow {
                log: sql::log(row, 0)?,
                room: row.get(1)?,
                followed: row.get(2)?,
                announced: row.get(3)?,
                name: row.get(4)?,
                purpose: row.get(5)?,
                private: row.get(6)?,
                role: Standing::from_code(row.get(7)?).role,
            })
        },
    )?);
    Ok(found)
}

fn general(db: &Connection, viewer: &Viewer) -> rusqlite::Result<TopicRow> {
    let log = LogId::of_general(&viewer.id);
    let row = sql::first(
        db,
        "SELECT n, followed, (SELECT role FROM topic_role WHERE room = n AND member = ?3 ORDER BY key DESC LIMIT 1)
         FROM log WHERE mesh = ?1 AND id = ?2",
        params![viewer.mesh, log.as_bytes(), viewer.own.as_bytes()],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, row.get(2)?)),
    )?;
    let (room, followed, held) = row.map_or((None, false, None), |(room, followed, held)| (Some(room), followed, held));
    let role = match Standing::from_code(held).role {
        _ if viewer.is_admin => TopicRole::Lead,
        TopicRole::Observer => TopicRole::Observer,
        _ => TopicRole::Member,
    };
    let (name, announced) = (GENERAL.to_owned(), true);
    Ok(TopicRow { log, room, name, purpose: None, private: false, announced, followed, role })
}

/// What a session has to read in a topic.
pub(crate) fn news(db: &Connection, room: Option<i64>, session: &str) -> rusqlite::Result<News> {
    let Some(room) = room else { return Ok(News::default()) };
    let last = post::history(db, room, post::Range::default(), 1)?.pop();
    Ok(News { unread: unread::unread(db, room, session)?, last, retention: retention::of(db, room)? })
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
