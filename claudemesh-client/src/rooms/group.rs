//! Groups: labels on members.

use std::collections::BTreeMap;

use claudemesh_core::address::GroupPath;
use claudemesh_core::record::GroupMember;
use claudemesh_core::{LogId, MemberId};
use rusqlite::Connection;

use super::{Ground, Plan};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::store::db_error;
use crate::store::view::group;

pub(crate) fn path(text: &str) -> Result<GroupPath, Error> {
    GroupPath::new(text.strip_prefix('@').unwrap_or(text)).map_err(|error| {
        Error::new(ErrorKind::Usage, format!("{text:?} is no group: {error}"))
            .with_hint("groups are named like @backend or @backend/api")
    })
}

pub(crate) fn change(
    db: &Connection,
    ground: &Ground,
    request: &api::GroupChange,
    joined: bool,
) -> Result<Plan<GroupPath>, Error> {
    let path = path(&request.group)?;
    let member = request.member.as_deref().map_or(Ok(ground.own), |text| ground.member(text))?;
    if member != ground.own && !ground.is_admin {
        return Err(Error::new(ErrorKind::Refused, "only admins put others into groups, or take them out")
            .with_hint("everybody joins and leaves for themselves"));
    }
    let inside = one(db, ground, &path)?.members.iter().any(|it| it.member.id == member.to_string());
    if !joined && !inside {
        let who = ground.member_ref(&member).name;
        return Err(Error::new(ErrorKind::NotFound, format!("{who} is not in @{}", path.as_str()))
            .with_hint("see `claudemesh group list`"));
    }
    let role = request.role.clone().filter(|_| joined);
    Ground::plan(LogId::of_mesh(&ground.id), GroupMember { path: path.clone(), member, joined, role }, path)
}

pub(crate) fn list(db: &Connection, ground: &Ground, query: &api::GroupQuery) -> Result<api::Groups, Error> {
    let within = query.group.as_deref().map(path).transpose()?;
    let room = ground.mesh_room(db)?.room;
    let mut groups = Vec::new();
    for row in group::groups(db, room).map_err(db_error)? {
        let inside = within.as_ref().is_none_or(|path| GroupPath::new(&row.path).is_ok_and(|it| path.contains(&it)));
        if inside {
            groups.push(show(ground, row.path, row.members));
        }
    }
    if let Some(path) = within.filter(|_| groups.is_empty()) {
        return Err(unknown(db, ground, path.as_str()));
    }
    Ok(api::Groups { groups })
}

/// One group after a change; empty when nobody is in it.
pub(crate) fn one(db: &Connection, ground: &Ground, path: &GroupPath) -> Result<api::Group, Error> {
    let room = ground.mesh_room(db)?.room;
    let found = group::groups(db, room).map_err(db_error)?.into_iter().find(|row| row.path == path.as_str());
    Ok(show(ground, path.as_str().to_owned(), found.map(|row| row.members).unwrap_or_default()))
}

fn show(ground: &Ground, path: String, members: Vec<(MemberId, Option<String>)>) -> api::Group {
    let live = members.into_iter().filter(|(member, _)| ground.people.get(member).is_some_and(|person| person.live));
    let members = live.map(|(member, role)| api::GroupMember { member: ground.member_ref(&member), role });
    api::Group { group: path, members: members.collect() }
}

fn unknown(db: &Connection, ground: &Ground, path: &str) -> Error {
    let known: Vec<String> = ground
        .mesh_room(db)
        .and_then(|place| group::groups(db, place.room).map_err(db_error))
        .map(|groups| groups.into_iter().map(|group| group.path).collect())
        .unwrap_or_default();
    let near = crate::address::near(path, known.iter().map(String::as_str));
    let hint = if near.is_empty() {
        "see `claudemesh group list`".to_owned()
    } else {
        format!("did you mean {}?", near.iter().map(|name| format!("@{name}")).collect::<Vec<_>>().join(", "))
    };
    Error::new(ErrorKind::NotFound, format!("nobody is in a group @{path}")).with_hint(hint)
}

/// The live members a group address reaches, the caller left out.
pub(crate) fn reached(db: &Connection, ground: &Ground, path: &GroupPath) -> Result<Vec<MemberId>, Error> {
    let live = |member: &MemberId| ground.people.get(member).is_some_and(|person| person.live);
    let everyone = path.as_str() == claudemesh_core::record::EVERYONE;
    let mut members: BTreeMap<MemberId, ()> = BTreeMap::new();
    if everyone {
        members.extend(ground.people.values().filter(|person| person.live).map(|person| (person.id, ())));
    } else {
        let room = ground.mesh_room(db)?.room;
        let rows = group::members(db, room, path).map_err(db_error)?;
        if rows.is_empty() {
            return Err(unknown(db, ground, path.as_str()));
        }
        members.extend(rows.into_iter().map(|row| (row.member, ())).filter(|(member, ())| live(member)));
    }
    members.remove(&ground.own);
    if members.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, format!("nobody else is in @{}", path.as_str()))
            .with_hint("see `claudemesh group list`"));
    }
    Ok(members.into_keys().collect())
}
