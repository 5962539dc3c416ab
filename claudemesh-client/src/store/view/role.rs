//! What members are in topics, at every address.

use claudemesh_core::MemberId;
use claudemesh_core::record::{TopicInfo, TopicMember, TopicRole, Visibility};
use rusqlite::{Connection, params};

use super::notification::{self, Kind};
use super::{Author, Room, Scope, sql};

/// Stored in place of a role: none, and not allowed to write or to come back by itself, having left as an observer.
const BARRED: u64 = 4;

/// What a member is in a topic other than #general.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) role: TopicRole,
    barred: bool,
}

impl Standing {
    pub(super) fn from_code(code: Option<i64>) -> Self {
        let code = code.map_or(0, |code| code as u64);
        Self { role: TopicRole::from_code(code).unwrap_or(TopicRole::None), barred: code == BARRED }
    }

    const fn code(self) -> u64 {
        if self.barred { BARRED } else { self.role.code() }
    }
}

/// What a member is and whether the topic is private, both just before `key`.
fn standing(tx: &Connection, room: i64, member: &MemberId, key: i64) -> rusqlite::Result<(Standing, bool)> {
    let found = sql::first(
        tx,
        "SELECT (SELECT role FROM topic_role WHERE room = ?1 AND member = ?2 AND key < ?3 ORDER BY key DESC LIMIT 1),
                (SELECT private FROM topic_info WHERE room = ?1 AND since < ?3)",
        params![room, member.as_bytes(), key],
        |row| Ok((Standing::from_code(row.get(0)?), row.get::<_, Option<bool>>(1)?.unwrap_or(false))),
    )?;
    Ok(found.unwrap_or((Standing::from_code(None), false)))
}

/// Whether something holds of a member, such as that it may write, from a key on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) holds: bool,
    from: i64,
    /// The next change, if any is known.
    until: i64,
}

impl Verdict {
    /// A verdict for one key.
    pub(super) const fn once(holds: bool, key: i64) -> Self {
        Self { holds, from: key, until: key }
    }

    /// The verdict at `key`, if this is the one for it.
    pub(super) fn at(&self, key: i64) -> Option<bool> {
        (self.from <= key && key <= self.until).then_some(self.holds)
    }
}

/// Whether the author may write at `key`, and until when that holds.
pub(super) fn verdict(tx: &Connection, room: &Room, author: &Author, key: i64) -> rusqlite::Result<Verdict> {
    let holds = may_write(tx, room, author, key)?;
    Ok(Verdict { holds, from: key, until: next_change(tx, room, &author.member, key)? })
}

/// Whether the own member is in the topic at `key`, and until when that holds.
pub(super) fn inside(tx: &Connection, room: &Room, key: i64) -> rusqlite::Result<Verdict> {
    let holds = standing(tx, room.n, &room.own, key)?.0.role != TopicRole::None;
    Ok(Verdict { holds, from: key, until: next_change(tx, room, &room.own, key)? })
}

/// The next key at which a member's standing changes.
fn next_change(tx: &Connection, room: &Room, member: &MemberId, key: i64) -> rusqlite::Result<i64> {
    let until = sql::first(
        tx,
        "SELECT MIN(
            COALESCE((SELECT MIN(key) FROM topic_role WHERE room = ?1 AND member = ?2 AND key >= ?3), ?4),
            COALESCE((SELECT since FROM topic_info WHERE room = ?1 AND since >= ?3), ?4))",
        params![room.n, member.as_bytes(), key, i64::MAX],
        |row| row.get(0),
    )?;
    Ok(until.unwrap_or(key))
}

/// Whether the author may write at `key`.
pub(super) fn may_write(tx: &Connection, room: &Room, author: &Author, key: i64) -> rusqlite::Result<bool> {
    if room.scope == Scope::Mesh || (room.scope == Scope::General && author.is_admin) {
        return Ok(true);
    }
    let (standing, private) = standing(tx, room.n, &author.member, key)?;
    Ok(match standing {
        Standing { barred: true, .. } | Standing { role: TopicRole::Observer, .. } => false,
        Standing { role: TopicRole::None, .. } => !private,
        _ => true,
    })
}

/// Whether the author leads at `key`.
pub(super) fn leads(tx: &Connection, room: &Room, author: &Author, key: i64) -> rusqlite::Result<bool> {
    if room.scope != Scope::Topic {
        return Ok(author.is_admin);
    }
    let (standing, private) = standing(tx, room.n, &author.member, key)?;
    Ok(standing.role == TopicRole::Lead || (author.is_admin && !private))
}

/// A topic says what it is.
pub(super) fn describe(
    tx: &Connection,
    room: &Room,
    author: &Author,
    key: i64,
    info: &TopicInfo,
) -> rusqlite::Result<bool> {
    let private = info.visibility == Visibility::Private;
    let known: Option<bool> =
        sql::first(tx, "SELECT private FROM topic_info WHERE room = ?1", [room.n], |row| row.get(0))?;
    match known {
        None => put(tx, room.n, &author.member, key, TopicRole::Lead.code())?,
        Some(before) if before == private && leads(tx, room, author, key)? => {}
        Some(_) => return Ok(false),
    }
    sql::run(
        tx,
        "INSERT INTO topic_info (room, since, private, name, purpose) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET name = excluded.name, purpose = excluded.purpose",
        params![room.n, key, private, info.name.as_str(), info.purpose],
    )?;
    Ok(true)
}

/// Somebody says what a member is.
pub(super) fn assign(
    tx: &Connection,
    room: &Room,
    author: &Author,
    key: i64,
    change: &TopicMember,
) -> rusqlite::Result<bool> {
    let (target, role) = (&change.member, change.role);
    let (now, private) = standing(tx, room.n, target, key)?;
    let own = author.member == *target;
    let next =
        Standing { role, barred: own && role == TopicRole::None && (now.barred || now.role == TopicRole::Observer) };
    let valid = match room.scope {
        Scope::Mesh => false,
        Scope::General => author.is_admin && matches!(role, TopicRole::Observer | TopicRole::Member),
        Scope::Topic => {
            let described = sql::exists(tx, "SELECT 1 FROM topic_info WHERE room = ?1", [room.n])?;
            let lowers = role <= TopicRole::Member && role <= now.role;
            let joins = role == TopicRole::Member && now.role == TopicRole::None && !now.barred && !private;
            described
                && ((own && (lowers || joins)) || leads(tx, room, author, key)?)
                && (now.role != TopicRole::Lead || role == TopicRole::Lead || may_lose_lead(tx, room.n, target)?)
        }
    };
    if !valid {
        return Ok(false);
    }
    if next != now {
        put(tx, room.n, target, key, next.code())?;
        if *target == room.own && !own && role != TopicRole::None {
            notification::put(tx, room, key, Kind::Membership)?;
        }
    }
    Ok(true)
}

/// Whether a topic has another lead, or nobody else.
fn may_lose_lead(tx: &Connection, room: i64, lead: &MemberId) -> rusqlite::Result<bool> {
    let others = current(tx, room)?.into_iter().filter(|(member, _)| member != lead).map(|(_, role)| role);
    Ok(others.max().is_none_or(|highest| highest == TopicRole::Lead))
}

fn put(tx: &Connection, room: i64, member: &MemberId, key: i64, code: u64) -> rusqlite::Result<()> {
    sql::run(
        tx,
        "INSERT INTO topic_role (room, member, key, role) VALUES (?1, ?2, ?3, ?4)",
        params![room, member.as_bytes(), key, code as i64],
    )
    .map(drop)
}

/// Everybody in a topic, with the role held last.
pub(super) fn current(db: &Connection, room: i64) -> rusqlite::Result<Vec<(MemberId, TopicRole)>> {
    sql::all(
        db,
        "SELECT member, role FROM topic_role AS held WHERE room = ?1 AND role BETWEEN 1 AND 3
         AND key = (SELECT MAX(key) FROM topic_role WHERE room = ?1 AND member = held.member)",
        [room],
        |row| Ok((sql::member(row, 0)?, Standing::from_code(row.get(1)?).role)),
    )
}

/// Who was in a topic and is not any more.
pub(super) fn left(db: &Connection, room: i64) -> rusqlite::Result<Vec<MemberId>> {
    sql::all(
        db,
        "SELECT member FROM topic_role AS held WHERE room = ?1 AND role NOT BETWEEN 1 AND 3
         AND key = (SELECT MAX(key) FROM topic_role WHERE room = ?1 AND member = held.member)",
        [room],
        |row| sql::member(row, 0),
    )
}

/// All that decides who may write where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Timeline {
    private_since: Option<i64>,
    changes: Vec<(MemberId, i64, i64)>,
}

pub(super) fn timeline(tx: &Connection, room: i64) -> rusqlite::Result<Timeline> {
    Ok(Timeline {
        private_since: sql::first(tx, "SELECT since FROM topic_info WHERE room = ?1 AND private = 1", [room], |row| {
            row.get(0)
        })?,
        changes: sql::all(tx, "SELECT member, key, role FROM topic_role WHERE room = ?1", [room], |row| {
            Ok((sql::member(row, 0)?, row.get(1)?, row.get(2)?))
        })?,
    })
}
