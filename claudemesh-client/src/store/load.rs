//! Snapshots from rows.

use claudemesh_core::codec::{self, Bytes};
use claudemesh_core::envelope::Lane;
use claudemesh_core::session::{MAX_RECENT, MessageState, OutboxRow, Snapshot};
use claudemesh_core::{DeviceId, LogId, MeshId, MessageId, Millis};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{db_error, log};
use crate::error::{Error, ErrorKind};

pub(super) fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the home's store is damaged ({what}); the file was left as it is"))
        .with_hint("restore it from a copy, or move the file away and join again by a fresh invite")
}

pub(super) fn rows<T>(
    db: &Connection,
    sql: &str,
    mesh: i64,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Error> {
    let mut statement = db.prepare_cached(sql).map_err(db_error)?;
    let mapped = statement.query_map(params![mesh], |row| read(row)).map_err(db_error)?;
    mapped.collect::<Result<Vec<T>, _>>().map_err(db_error)
}

fn value(db: &Connection, mesh: i64, key: &str) -> Result<Option<Vec<u8>>, Error> {
    db.prepare_cached("SELECT data FROM value WHERE mesh = ?1 AND key = ?2")
        .and_then(|mut sql| sql.query_row(params![mesh, key], |row| row.get(0)).optional())
        .map_err(db_error)
}

fn number(db: &Connection, mesh: i64, key: &str) -> Result<u64, Error> {
    match value(db, mesh, key)? {
        Some(bytes) => bytes.try_into().map(u64::from_be_bytes).map_err(|_| corrupt(key)),
        None => Ok(0),
    }
}

fn device(bytes: &[u8]) -> Result<DeviceId, Error> {
    DeviceId::try_from(bytes).map_err(|_| corrupt("device"))
}

fn lane(code: i64) -> Result<Lane, Error> {
    u64::try_from(code).ok().and_then(Lane::from_code).ok_or_else(|| corrupt("lane"))
}

/// What the session of a mesh starts from.
pub(super) fn snapshot(db: &Connection, mesh: i64, id: MeshId) -> Result<Snapshot, Error> {
    let blob = |row: &Row<'_>| row.get::<_, Vec<u8>>(0);
    let mut snapshot = Snapshot {
        roster: rows(db, "SELECT entry FROM roster WHERE mesh = ?1 ORDER BY idx", mesh, blob)?
            .into_iter()
            .map(Bytes)
            .collect(),
        logs: log::load(db, mesh)?,
        directory: log::load_names(db, mesh, LogId::of_mesh(&id))?,
        prekeys: value(db, mesh, "prekeys")?.map(Into::into),
        record_counter: number(db, mesh, "record_counter")?,
        own_status: value(db, mesh, "own_status")?.map(Bytes),
        ..Snapshot::default()
    };
    if let Some(bytes) = value(db, mesh, "resume")? {
        snapshot.resume = Some(codec::decode(&bytes).map_err(|_| corrupt("resume"))?);
    }
    let records = rows(db, "SELECT device, record FROM record WHERE mesh = ?1", mesh, |row| {
        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))
    })?;
    for (id, record) in records {
        snapshot.records.insert(device(&id)?, Bytes(record));
    }
    for data in rows(db, "SELECT data FROM outbox WHERE mesh = ?1", mesh, blob)? {
        let mut row: OutboxRow = codec::decode(&data).map_err(|_| corrupt("outbox"))?;
        refresh_states(db, mesh, &mut row)?;
        snapshot.outbox.insert(row.ordinal, row);
    }
    let seqs = rows(db, "SELECT device, lane, seq FROM next_seq WHERE mesh = ?1", mesh, |row| {
        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })?;
    for (id, code, seq) in seqs {
        snapshot.next_seq.insert((device(&id)?, lane(code)?), seq as u64);
    }
    let seen = rows(db, "SELECT device, lane, runs FROM seen WHERE mesh = ?1", mesh, |row| {
        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?))
    })?;
    for (id, code, runs) in seen {
        let runs = codec::decode(&runs).map_err(|_| corrupt("seen"))?;
        snapshot.seen.insert((device(&id)?, lane(code)?), runs);
    }
    load_recent(db, mesh, &mut snapshot)?;
    Ok(snapshot)
}

/// States are kept beside the rows, so that a step costs no rewrite of the sealed bytes.
fn refresh_states(db: &Connection, mesh: i64, row: &mut OutboxRow) -> Result<(), Error> {
    for recipient in &mut row.recipients {
        let state: Option<(u8, Option<String>)> = db
            .prepare_cached("SELECT state, reason FROM sent WHERE mesh = ?1 AND id = ?2 AND device = ?3")
            .and_then(|mut sql| {
                sql.query_row(params![mesh, row.id.as_bytes(), recipient.device.as_bytes()], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()
            })
            .map_err(db_error)?;
        if let Some((rank, why)) = state {
            recipient.state = MessageState::from_code(rank, why.as_deref()).ok_or_else(|| corrupt("state"))?;
        }
    }
    Ok(())
}

fn load_recent(db: &Connection, mesh: i64, snapshot: &mut Snapshot) -> Result<(), Error> {
    let sql = format!(
        "SELECT device, id, hash, received_at FROM inbox WHERE mesh = ?1 AND hash IS NOT NULL ORDER BY row DESC LIMIT {MAX_RECENT}"
    );
    let recent = rows(db, &sql, mesh, |row| {
        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?, row.get::<_, i64>(3)?))
    })?;
    for (id, message, hash, at) in recent {
        let message = MessageId::try_from(&message[..]).map_err(|_| corrupt("inbox"))?;
        let hash = hash.try_into().map_err(|_| corrupt("inbox"))?;
        snapshot.recent.insert((device(&id)?, message), (hash, Millis(at as u64)));
    }
    Ok(())
}
