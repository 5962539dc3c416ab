//! Shared state: values under keys.

use claudemesh_core::Millis;
use claudemesh_core::codec::Bytes;
use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::record::{RoomRecord, StateDeleted, StateKey, StateSet};
use rusqlite::Connection;
use serde_json::Value;

use super::{Ground, Place, Plan, read_at, show_at, time, unfit};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::store::view::state::{self, StateRow};
use crate::store::{db_error, view};

/// Keys of one answer.
const MOST: usize = 10_000;

/// What the answer to a change needs.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) place: Place,
    pub(crate) key: String,
    /// Whether it depends on the version.
    compares: bool,
}

fn key(text: &str) -> Result<StateKey, Error> {
    text.parse::<StateKey>()
        .map_err(|error| unfit(&error).with_hint("keys have 1 to 256 bytes and no control characters"))
}

/// What a change that was made before is answered from.
pub(crate) fn about(
    db: &Connection,
    ground: &Ground,
    topic: Option<&str>,
    key: String,
    compares: bool,
) -> Result<About, Error> {
    Ok(About { place: ground.place(db, topic)?, key, compares })
}

fn plan(
    place: Place,
    name: String,
    expected: Option<RecordAt>,
    record: impl Into<RoomRecord>,
) -> Result<Plan<About>, Error> {
    Ground::plan(place.log, record, About { place, key: name, compares: expected.is_some() })
        .map(|plan| plan.ordered(expected.is_some()))
}

pub(crate) fn set(db: &Connection, ground: &Ground, request: &api::StateSet) -> Result<Plan<About>, Error> {
    let place = ground.writable(db, request.topic.as_deref())?;
    let key = key(&request.key)?;
    let expected = request.expect.as_deref().map(read_at).transpose()?;
    stale(db, ground, &place, &request.key, expected)?;
    let value = serde_json::to_vec(&request.value)
        .map_err(|error| Error::new(ErrorKind::Usage, "the value is no JSON").with_source(error))?;
    let expires = request.ttl.map(|seconds| Millis(ground.now.saturating_add(seconds.saturating_mul(1000))));
    let record = StateSet { key, value: Bytes(value), expected, expires };
    plan(place, request.key.clone(), expected, record)
}

pub(crate) fn delete(db: &Connection, ground: &Ground, request: &api::StateDelete) -> Result<Plan<About>, Error> {
    let place = ground.writable(db, request.topic.as_deref())?;
    let key = key(&request.key)?;
    let expected = request.expect.as_deref().map(read_at).transpose()?;
    stale(db, ground, &place, &request.key, expected)?;
    if state::get(db, place.room, &request.key, ground.now).map_err(db_error)?.is_none_or(|row| row.value.is_none()) {
        return Err(absent(&request.key));
    }
    plan(place, request.key.clone(), expected, StateDeleted { key, expected })
}

/// Says at once what the log would say: the version moved on.
fn stale(db: &Connection, ground: &Ground, place: &Place, key: &str, expected: Option<RecordAt>) -> Result<(), Error> {
    let Some(expected) = expected else { return Ok(()) };
    let now = state::get(db, place.room, key, ground.now).map_err(db_error)?.map_or((0, 0), |row| row.version);
    if now == expected { Ok(()) } else { Err(conflict(key, now)) }
}

fn conflict(key: &str, now: RecordAt) -> Error {
    let what = if now == (0, 0) { "does not exist".to_owned() } else { format!("has version {}", show_at(now)) };
    Error::new(ErrorKind::Conflict, format!("the key {key:?} {what} now: nothing was changed"))
        .with_hint("read it again, and decide anew")
}

fn absent(key: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no key {key:?}")).with_hint("see `claudemesh state list`")
}

/// The answer once the change is in the log, at `at`.
pub(crate) fn changed(db: &Connection, ground: &Ground, about: &About, at: RecordAt) -> Result<api::StateEntry, Error> {
    let row = state::get(db, about.place.room, &about.key, ground.now).map_err(db_error)?;
    if !about.compares {
        super::effective(db, about.place.room, at)?;
    } else if !view::took_effect(db, about.place.room, at).map_err(db_error)? {
        return Err(conflict(&about.key, row.map_or((0, 0), |row| row.version)));
    }
    // A later change may have come by now: what was asked for was done all the same.
    row.map(|row| show(ground, &about.place, row)).ok_or_else(|| absent(&about.key))
}

pub(crate) fn get(db: &Connection, ground: &Ground, request: &api::StateKey) -> Result<api::StateEntry, Error> {
    let place = ground.place(db, request.topic.as_deref())?;
    key(&request.key)?;
    match state::get(db, place.room, &request.key, ground.now).map_err(db_error)? {
        Some(row) if row.value.is_some() => Ok(show(ground, &place, row)),
        _ => Err(absent(&request.key)),
    }
}

/// What is under a key of the whole mesh, also when it was deleted; none when nothing ever was.
pub(crate) fn look(db: &Connection, ground: &Ground, key: &str) -> Result<Option<api::StateEntry>, Error> {
    let place = ground.mesh_room(db)?;
    let row = state::get(db, place.room, key, ground.now).map_err(db_error)?;
    Ok(row.map(|row| show(ground, &place, row)))
}

pub(crate) fn list(db: &Connection, ground: &Ground, query: &api::StateQuery) -> Result<api::StateEntries, Error> {
    let place = ground.place(db, query.topic.as_deref())?;
    let prefix = query.prefix.as_deref().unwrap_or_default();
    let after = query.after.as_deref().map(read_at).transpose()?;
    let version = state::version(db, place.room).map_err(db_error)?;
    let (mut rows_cut, mut last) = (false, version);
    let rows = match after {
        Some(after) => {
            let rows = state::changes(db, place.room, after, ground.now, MOST as u32).map_err(db_error)?;
            rows_cut = rows.len() == MOST;
            last = rows.last().map_or(version, |row| row.version);
            rows.into_iter().filter(|row| row.key.starts_with(prefix)).collect()
        }
        None => state::list(db, place.room, prefix, None, ground.now, MOST).map_err(db_error)?,
    };
    let entries: Vec<api::StateEntry> = rows.into_iter().map(|row| show(ground, &place, row)).collect();
    let cut = after.is_some() && rows_cut;
    let end = if cut { last } else { version.max(after.unwrap_or_default()) };
    Ok(api::StateEntries { entries, next: show_at(end) })
}

fn show(ground: &Ground, place: &Place, row: StateRow) -> api::StateEntry {
    let value = row.value.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok());
    api::StateEntry {
        key: row.key,
        deleted: row.value.is_none(),
        value: value.unwrap_or(Value::Null),
        version: show_at(row.version),
        by: ground.member_ref(&row.member),
        expires_at: row.expires.map(time),
        topic: place.topic.clone(),
    }
}
