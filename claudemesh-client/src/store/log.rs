//! Logs as rows: the chain, what waits to be written, what was read of names.

use std::collections::{BTreeMap, HashMap};

use claudemesh_core::codec::{self, Bytes};
use claudemesh_core::log::{EntryKind, Record};
use claudemesh_core::record::{Post, TopicRetention};
use claudemesh_core::session::{
    Change, InFlight, LogLink, LogPolicy, LogRecords, LogSnapshot, LogUse, SealedAt, Snapshot,
};
use claudemesh_core::{DeviceId, LogId, MemberId, Millis};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::load::{corrupt, rows};
use super::write::now_ms;
use super::{db_error, request, view};
use crate::error::Error;

/// Entries of one log at most; the rows of a log lie together.
const SPAN: i64 = 1 << 39;

/// Row numbers of logs, so that an entry costs no search for its log.
#[derive(Debug, Default)]
pub(super) struct LogRows(HashMap<(i64, LogId), i64>);

impl LogRows {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The row of a log; it is made when there is none.
    fn row(&mut self, tx: &Connection, mesh: i64, log: &LogId) -> rusqlite::Result<i64> {
        if let Some(row) = self.0.get(&(mesh, *log)) {
            return Ok(*row);
        }
        tx.prepare_cached("INSERT OR IGNORE INTO log (mesh, id, followed, policy) VALUES (?1, ?2, 1, ?3)")?
            .execute(params![mesh, log.as_bytes(), codec::encode(&LogPolicy::OPEN)])?;
        let row = tx
            .prepare_cached("SELECT n FROM log WHERE mesh = ?1 AND id = ?2")?
            .query_row(params![mesh, log.as_bytes()], |row| row.get(0))?;
        self.0.insert((mesh, *log), row);
        Ok(row)
    }
}

/// Applies a change of a log.
pub(super) fn apply(tx: &Connection, mesh: i64, change: &Change, rows: &mut LogRows) -> rusqlite::Result<()> {
    let number = |value: u64| value as i64;
    match change {
        Change::LogOpened { log, policy } => tx
            .prepare_cached("UPDATE log SET followed = 1, policy = ?2 WHERE n = ?1")?
            .execute(params![rows.row(tx, mesh, log)?, codec::encode(policy)])
            .map(drop),
        Change::LogClosed { log } => {
            tx.prepare_cached("UPDATE log SET followed = 0 WHERE n = ?1")?.execute([rows.row(tx, mesh, log)?]).map(drop)
        }
        Change::LogEntry { log, offset, link, sealed } => tx
            .prepare_cached(
                "INSERT OR REPLACE INTO log_link (key, chain, kind, epoch, roster, raises) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                rows.row(tx, mesh, log)? * SPAN + number(*offset),
                link.chain,
                link.kind.map(|kind| number(kind.code())),
                sealed.map(|sealed| number(sealed.epoch)),
                sealed.map(|sealed| number(sealed.roster_index)),
                sealed.map(|sealed| sealed.raises),
            ])
            .map(drop),
        Change::LogRecords(opened) => {
            let log = rows.row(tx, mesh, &opened.log)?;
            if opened.late {
                unseal(tx, log, opened.offset)?;
            }
            if Snapshot::names(opened) {
                insert_names(tx, mesh, opened)?;
            }
            Ok(())
        }
        Change::LogUnsealed { log, offset } => unseal(tx, rows.row(tx, mesh, log)?, *offset),
        Change::LogEpoch { log, began } => tx
            .prepare_cached("UPDATE log SET epoch_offset = ?2, epoch_at = ?3 WHERE n = ?1")?
            .execute(params![rows.row(tx, mesh, log)?, number(began.0), number(began.1.0)])
            .map(drop),
        Change::LogSeq { log, seq } => tx
            .prepare_cached("UPDATE log SET next_seq = ?2 WHERE n = ?1")?
            .execute(params![rows.row(tx, mesh, log)?, number(*seq)])
            .map(drop),
        Change::LogReader { log, snapshot } => tx
            .prepare_cached("UPDATE log SET reader = ?2 WHERE n = ?1")?
            .execute(params![rows.row(tx, mesh, log)?, &snapshot[..]])
            .map(drop),
        Change::LogQueued { log, ticket, record } => tx
            .prepare_cached("INSERT INTO log_queue (mesh, ticket, log, kind, data) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![mesh, number(*ticket), rows.row(tx, mesh, log)?, number(record.kind), &record.data.0])
            .map(drop),
        Change::LogInFlight { log, flight } => tx
            .prepare_cached("INSERT OR REPLACE INTO log_flight (log, seq, data) VALUES (?1, ?2, ?3)")?
            .execute(params![rows.row(tx, mesh, log)?, number(flight.seq), codec::encode(flight)])
            .map(drop),
        Change::LogDone { log, seq, tickets, queued, offset } => {
            tx.prepare_cached("DELETE FROM log_flight WHERE log = ?1 AND seq = ?2")?
                .execute([rows.row(tx, mesh, log)?, number(*seq)])?;
            let mut sql = tx.prepare_cached("DELETE FROM log_queue WHERE mesh = ?1 AND ticket = ?2")?;
            queued.iter().try_for_each(|ticket| sql.execute(params![mesh, number(*ticket)]).map(drop))?;
            request::end(tx, mesh, tickets, *offset)
        }
        _ => Ok(()),
    }
}

/// How many posts a change brings.
pub(super) fn posts(change: &Change) -> usize {
    match change {
        Change::LogRecords(opened) => opened.records.iter().filter(|record| record.kind == Post::KIND).count(),
        _ => 0,
    }
}

/// Folds what the changes of a mesh opened, in one go.
pub(super) fn fold(tx: &Connection, mesh: i64, changes: &[Change], rows: &mut LogRows) -> rusqlite::Result<()> {
    let mut entries = Vec::new();
    for change in changes {
        match change {
            Change::LogRecords(opened) => entries.push(view_entry(mesh, rows.row(tx, mesh, &opened.log)?, opened)),
            Change::LogCompacted { log, usage, own, offsets } => {
                view::apply_all(tx, &std::mem::take(&mut entries))?;
                let room = rows.row(tx, mesh, log)?;
                view::compact::apply(tx, &view::Room::new((room, mesh), scope(*usage), *own, now_ms()), offsets)?;
            }
            _ => {}
        }
    }
    if entries.is_empty() { Ok(()) } else { view::apply_all(tx, &entries) }
}

const fn scope(usage: LogUse) -> view::Scope {
    match usage {
        LogUse::Mesh => view::Scope::Mesh,
        LogUse::General => view::Scope::General,
        LogUse::Other => view::Scope::Topic,
    }
}

/// Whether a change can bear on how long posts are kept.
pub(super) fn concerns_retention(change: &Change) -> bool {
    matches!(change, Change::LogRecords(opened) if opened.records.iter().any(|it| it.kind == TopicRetention::KIND))
}

fn view_entry(mesh: i64, room: i64, opened: &LogRecords) -> view::Entry<'_> {
    view::Entry {
        room,
        mesh,
        scope: scope(opened.usage),
        own: opened.own,
        offset: opened.offset,
        author: opened.device,
        member: opened.member,
        is_admin: opened.is_admin,
        now: now_ms(),
        late: opened.late,
        witnessed: opened.witnessed,
        raises: opened.raises,
        records: &opened.records,
    }
}

fn unseal(tx: &Connection, log: i64, offset: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE log_link SET epoch = NULL, roster = NULL WHERE key = ?1")?
        .execute([log * SPAN + offset as i64])
        .map(drop)
}

fn insert_names(tx: &Connection, mesh: i64, opened: &LogRecords) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO directory (mesh, offset, device, member, admin, records) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        mesh,
        opened.offset as i64,
        opened.device.as_bytes(),
        opened.member.as_bytes(),
        opened.is_admin,
        codec::encode(&opened.records),
    ])
    .map(drop)
}

/// The logs of a mesh.
pub(super) fn load(db: &Connection, mesh: i64) -> Result<BTreeMap<LogId, LogSnapshot>, Error> {
    let mut logs = BTreeMap::new();
    let found = rows(db, "SELECT n, id FROM log WHERE mesh = ?1", mesh, |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (n, id) in found {
        logs.insert(LogId::from_bytes(id), load_one(db, mesh, n)?);
    }
    Ok(logs)
}

fn load_one(db: &Connection, mesh: i64, n: i64) -> Result<LogSnapshot, Error> {
    let (policy, mut log) = db
        .prepare_cached("SELECT policy, reader, followed, next_seq, epoch_offset, epoch_at FROM log WHERE n = ?1")
        .and_then(|mut sql| {
            sql.query_row([n], |row| {
                let mut log = LogSnapshot::new(LogPolicy::OPEN);
                log.reader = row.get::<_, Option<Vec<u8>>>(1)?.map(Into::into);
                log.open = row.get(2)?;
                log.next_seq = row.get::<_, i64>(3)?.unsigned_abs();
                log.epoch_began = (row.get::<_, i64>(4)?.unsigned_abs(), Millis(row.get::<_, i64>(5)?.unsigned_abs()));
                Ok((row.get::<_, Vec<u8>>(0)?, log))
            })
        })
        .map_err(db_error)?;
    log.policy = codec::decode(&policy).map_err(|_| corrupt("log policy"))?;
    for flight in rows(db, "SELECT data FROM log_flight WHERE log = ?1", n, |row| row.get::<_, Vec<u8>>(0))? {
        let flight: InFlight = codec::decode(&flight).map_err(|_| corrupt("log entry"))?;
        log.in_flight.insert(flight.seq, flight);
    }
    let mut sql = db
        .prepare_cached(
            "SELECT key, chain, kind, epoch, roster, raises FROM log_link WHERE key BETWEEN ?1 AND ?2 ORDER BY key",
        )
        .map_err(db_error)?;
    let mut found = sql.query([n * SPAN, n * SPAN + SPAN - 1]).map_err(db_error)?;
    while let Some(row) = found.next().map_err(db_error)? {
        read_link(row, &mut log).map_err(db_error)?;
    }
    let queued = db
        .prepare_cached("SELECT ticket, kind, data FROM log_queue WHERE mesh = ?1 AND log = ?2")
        .and_then(|mut sql| {
            sql.query_map([mesh, n], |row| {
                let record = Record { kind: row.get::<_, i64>(1)?.unsigned_abs(), data: Bytes(row.get(2)?) };
                Ok((row.get::<_, i64>(0)?.unsigned_abs(), record))
            })?
            .collect::<Result<_, _>>()
        })
        .map_err(db_error)?;
    log.queue = queued;
    Ok(log)
}

fn read_link(row: &Row<'_>, log: &mut LogSnapshot) -> rusqlite::Result<()> {
    let kind: Option<i64> = row.get(2)?;
    log.links
        .push(LogLink { chain: row.get(1)?, kind: kind.and_then(|code| EntryKind::from_code(code.unsigned_abs())) });
    if let Some(epoch) = row.get::<_, Option<i64>>(3)? {
        let offset = row.get::<_, i64>(0)?.unsigned_abs() % SPAN.unsigned_abs();
        let roster_index = row.get::<_, Option<i64>>(4)?.unwrap_or_default().unsigned_abs();
        let raises = row.get::<_, Option<bool>>(5)?.unwrap_or(true);
        log.sealed.insert(offset, SealedAt { epoch: epoch.unsigned_abs(), roster_index, raises });
    }
    Ok(())
}

/// What the mesh's own log said of names and labels.
pub(super) fn load_names(db: &Connection, mesh: i64, log: LogId) -> Result<Vec<LogRecords>, Error> {
    let sql = "SELECT offset, device, member, admin, records FROM directory WHERE mesh = ?1 ORDER BY offset";
    let found = rows(db, sql, mesh, |row| {
        let records: Vec<u8> = row.get(4)?;
        let opened = LogRecords {
            log,
            usage: LogUse::Mesh,
            own: MemberId::from_bytes([0; 32]),
            offset: row.get::<_, i64>(0)?.unsigned_abs(),
            device: DeviceId::from_bytes(row.get(1)?),
            member: MemberId::from_bytes(row.get(2)?),
            is_admin: row.get(3)?,
            late: false,
            witnessed: false,
            raises: false,
            records: Vec::new(),
        };
        Ok((opened, records))
    })?;
    found
        .into_iter()
        .map(|(opened, records)| {
            let records = codec::decode(&records).map_err(|_| corrupt("directory"))?;
            Ok(LogRecords { records, ..opened })
        })
        .collect()
}

/// The row of a log, when it is known here.
pub(crate) fn row(db: &Connection, mesh: i64, log: &LogId) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT n FROM log WHERE mesh = ?1 AND id = ?2")?
        .query_row(params![mesh, log.as_bytes()], |row| row.get(0))
        .optional()
}

/// Forgets the logs of meshes, with what was folded from them; `which` is a condition on the mesh's row with one parameter.
pub(super) fn forget(tx: &Connection, which: &str, mesh: i64) -> rusqlite::Result<()> {
    let rooms: Vec<i64> = tx
        .prepare(&format!("SELECT n FROM log WHERE mesh {which}"))?
        .query_map([mesh], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    view::erase::rooms(tx, &rooms)?;
    for room in rooms {
        tx.execute("DELETE FROM log_link WHERE key BETWEEN ?1 AND ?2", [room * SPAN, room * SPAN + SPAN - 1])?;
        tx.execute("DELETE FROM log_flight WHERE log = ?1", [room])?;
    }
    for table in TABLES {
        tx.execute(&format!("DELETE FROM {table} WHERE mesh {which}"), [mesh])?;
    }
    Ok(())
}

/// Tables of logs with a column for the mesh.
pub(super) const TABLES: [&str; 4] = ["log", "log_queue", "directory", "request"];
