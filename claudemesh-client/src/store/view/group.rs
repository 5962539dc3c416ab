//! Groups: labels on members.

use std::collections::BTreeMap;

use claudemesh_core::MemberId;
use claudemesh_core::address::GroupPath;
use claudemesh_core::record::GroupMember;
use rusqlite::{Connection, params};

use super::{Author, Room, sql};

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupMemberRow {
    pub(crate) member: MemberId,
    /// The group it is in: the one asked for, or one below.
    pub(crate) path: String,
    pub(crate) role: Option<String>,
}

/// A group with the members that are in it themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupRow {
    pub(crate) path: String,
    pub(crate) members: Vec<(MemberId, Option<String>)>,
}

/// A member comes or goes.
pub(super) fn change(tx: &Connection, room: &Room, author: &Author, change: &GroupMember) -> rusqlite::Result<bool> {
    if author.member != change.member && !author.is_admin {
        return Ok(false);
    }
    if change.joined {
        sql::run(
            tx,
            "INSERT OR REPLACE INTO group_member (room, path, member, role) VALUES (?1, ?2, ?3, ?4)",
            params![room.n, change.path.as_str(), change.member.as_bytes(), change.role],
        )?;
    } else {
        sql::run(
            tx,
            "DELETE FROM group_member WHERE room = ?1 AND path = ?2 AND member = ?3",
            params![room.n, change.path.as_str(), change.member.as_bytes()],
        )?;
    }
    Ok(true)
}

/// All groups that the mesh's own room has, by path.
pub(crate) fn groups(db: &Connection, room: i64) -> rusqlite::Result<Vec<GroupRow>> {
    let rows = sql::all(
        db,
        "SELECT path, member, role FROM group_member WHERE room = ?1 ORDER BY path, member",
        [room],
        |row| Ok((row.get::<_, String>(0)?, sql::member(row, 1)?, row.get(2)?)),
    )?;
    let mut groups: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (path, member, role) in rows {
        groups.entry(path).or_default().push((member, role));
    }
    Ok(groups.into_iter().map(|(path, members)| GroupRow { path, members }).collect())
}

/// Who is in a group or below it. A member is given once for each group it is in.
pub(crate) fn members(db: &Connection, room: i64, path: &GroupPath) -> rusqlite::Result<Vec<GroupMemberRow>> {
    // `0` follows `/`.
    sql::all(
        db,
        "SELECT member, path, role FROM group_member
         WHERE room = ?1 AND (path = ?2 OR (path > ?2 || '/' AND path < ?2 || '0')) ORDER BY path, member",
        params![room, path.as_str()],
        |row| Ok(GroupMemberRow { member: sql::member(row, 0)?, path: row.get(1)?, role: row.get(2)? }),
    )
}
