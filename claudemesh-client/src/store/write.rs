//! Changes as rows.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use claudemesh_core::codec;
use claudemesh_core::hash::Hash;
use claudemesh_core::runs::Runs;
use claudemesh_core::session::{Change, InboxBody, InboxRow, MessageState};
use rusqlite::{Connection, OptionalExtension, params};

use super::log::{self, LogRows};
use super::view::search;
use super::{Extra, State, db_error, request, session};
use crate::error::Error;

type Lane = (i64, [u8; 32], u64);

/// Applied numbers by lane, so that a message costs no read.
#[derive(Debug, Default)]
pub(crate) struct SeenCache(BTreeMap<Lane, Runs>);

/// Commits batches in one transaction; `durable` says whether they have to survive a power failure at once.
pub(super) fn commit(state: &mut State, batch: &[(i64, Vec<Change>, Vec<Extra>)], durable: bool) -> Result<(), Error> {
    let result = if durable { try_commit(state, batch) } else { relaxed(state, |state| try_commit(state, batch)) };
    let changes = batch.iter().flat_map(|(_, changes, _)| changes);
    state.new_posts += changes.map(log::posts).sum::<usize>();
    if result.is_err() {
        // What was cached may be ahead of the disk now.
        state.seen.0.clear();
        state.logs.clear();
    }
    result
}

/// Takes new posts into the index. A power failure may take it back: then it is done again.
pub(super) fn index(state: &mut State) -> Result<(), Error> {
    state.new_posts = 0;
    relaxed(state, |state| {
        let tx = state.db.transaction().map_err(db_error)?;
        search::index_new(&tx).map_err(db_error)?;
        tx.commit().map_err(db_error)
    })
}

/// Without waiting for the disk.
pub(super) fn relaxed<T>(state: &mut State, work: impl FnOnce(&mut State) -> Result<T, Error>) -> Result<T, Error> {
    let result = state.db.execute_batch("PRAGMA synchronous = NORMAL").map_err(db_error).and_then(|()| work(state));
    state.db.execute_batch("PRAGMA synchronous = FULL").map_err(db_error).and(result)
}

fn try_commit(state: &mut State, batch: &[(i64, Vec<Change>, Vec<Extra>)]) -> Result<(), Error> {
    let State { db, seen, logs, .. } = state;
    let tx = db.transaction().map_err(db_error)?;
    let mut touched = BTreeMap::new();
    for (mesh, changes, extra) in batch {
        let mut rest = changes.as_slice();
        while let [change, after @ ..] = rest {
            // A received message and that it was applied are one row.
            rest = match (change, after) {
                (Change::Inbox(row), [Change::Seen { device, lane, seq, id, hash, .. }, after @ ..])
                    if (device, id) == (&row.device, &row.id) =>
                {
                    insert_inbox(&tx, *mesh, row, Some(hash)).map_err(db_error)?;
                    mark_seen(&tx, (*mesh, *device.as_bytes(), lane.code()), *seq, seen, &mut touched)
                        .map_err(db_error)?;
                    after
                }
                _ => {
                    apply(&tx, *mesh, change, (&mut *seen, &mut *logs), &mut touched).map_err(db_error)?;
                    after
                }
            };
        }
        log::fold(&tx, *mesh, changes, logs).map_err(db_error)?;
        for item in extra {
            apply_extra(&tx, *mesh, item).map_err(db_error)?;
        }
    }
    for (lane, ()) in touched {
        if let Some(runs) = seen.0.get(&lane) {
            tx.prepare_cached("INSERT OR REPLACE INTO seen (mesh, device, lane, runs) VALUES (?1, ?2, ?3, ?4)")
                .and_then(|mut sql| sql.execute(params![lane.0, lane.1, lane.2 as i64, codec::encode(runs)]))
                .map_err(db_error)?;
        }
    }
    tx.commit().map_err(db_error)
}

fn put_value(tx: &Connection, mesh: i64, key: &str, data: &[u8]) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO value (mesh, key, data) VALUES (?1, ?2, ?3)")?
        .execute(params![mesh, key, data])
        .map(drop)
}

fn apply(
    tx: &Connection,
    mesh: i64,
    change: &Change,
    (seen, logs): (&mut SeenCache, &mut LogRows),
    touched: &mut BTreeMap<Lane, ()>,
) -> rusqlite::Result<()> {
    match change {
        Change::Roster { index, entry } => tx
            .prepare_cached("INSERT OR REPLACE INTO roster (mesh, idx, entry) VALUES (?1, ?2, ?3)")?
            .execute(params![mesh, *index as i64, &entry.0])
            .map(drop),
        Change::Record { device, record } => tx
            .prepare_cached("INSERT OR REPLACE INTO record (mesh, device, record) VALUES (?1, ?2, ?3)")?
            .execute(params![mesh, device.as_bytes(), &record.0])
            .map(drop),
        Change::Prekeys { counter, ring } => {
            put_value(tx, mesh, "record_counter", &counter.to_be_bytes())?;
            put_value(tx, mesh, "prekeys", ring)
        }
        Change::Resume(resume) => put_value(tx, mesh, "resume", &codec::encode(resume)),
        Change::Outbox(row) => {
            tx.prepare_cached(
                "INSERT INTO outbox (mesh, id, data) VALUES (?1, ?2, ?3)
                 ON CONFLICT (mesh, id) DO UPDATE SET data = excluded.data",
            )?
            .execute(params![mesh, row.id.as_bytes(), codec::encode(row)])?;
            if row.sealed.len() <= 1 {
                for recipient in &row.recipients {
                    let visible = recipient.acting && row.kind == claudemesh_core::session::OutboxKind::Text;
                    let (rank, why) = recipient.state.code();
                    tx.prepare_cached(
                        "INSERT OR IGNORE INTO sent (mesh, id, device, member, state, reason, at, visible)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    )?
                    .execute(params![
                        mesh,
                        row.id.as_bytes(),
                        recipient.device.as_bytes(),
                        recipient.member.as_bytes(),
                        rank,
                        why,
                        now_ms(),
                        visible
                    ])?;
                }
            }
            Ok(())
        }
        Change::NextSeq { device, lane, seq } => tx
            .prepare_cached("INSERT OR REPLACE INTO next_seq (mesh, device, lane, seq) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![mesh, device.as_bytes(), lane.code() as i64, *seq as i64])
            .map(drop),
        Change::State { id, device, member, state, at, visible } => {
            set_state(tx, mesh, (id.as_bytes(), device.as_bytes(), member.as_bytes()), *state, at.0, *visible)
        }
        Change::OutboxDone { id } => {
            tx.prepare_cached("DELETE FROM outbox WHERE mesh = ?1 AND id = ?2")?
                .execute(params![mesh, id.as_bytes()])?;
            tx.prepare_cached("DELETE FROM sent WHERE mesh = ?1 AND id = ?2 AND visible = 0")?
                .execute(params![mesh, id.as_bytes()])
                .map(drop)
        }
        Change::Claimed { id, device, session: named, wait } => {
            session::claimed(tx, mesh, (id.as_bytes(), device.as_bytes()), named.as_deref(), *wait)
        }
        Change::Inbox(row) => insert_inbox(tx, mesh, row, None),
        Change::Seen { device, lane, seq, id, hash, .. } => {
            mark_seen(tx, (mesh, *device.as_bytes(), lane.code()), *seq, seen, touched)?;
            tx.prepare_cached("UPDATE inbox SET hash = ?4 WHERE mesh = ?1 AND device = ?2 AND id = ?3")?
                .execute(params![mesh, device.as_bytes(), id.as_bytes(), hash])
                .map(drop)
        }
        Change::Read { device, id, at } => tx
            .prepare_cached(
                "UPDATE inbox SET read_at = ?4 WHERE mesh = ?1 AND device = ?2 AND id = ?3 AND read_at IS NULL",
            )?
            .execute(params![mesh, device.as_bytes(), id.as_bytes(), at.0 as i64])
            .map(drop),
        Change::OwnStatus { status } => put_value(tx, mesh, "own_status", &status.0),
        change => log::apply(tx, mesh, change, logs),
    }
}

fn mark_seen(
    tx: &Connection,
    lane: Lane,
    seq: u64,
    seen: &mut SeenCache,
    touched: &mut BTreeMap<Lane, ()>,
) -> rusqlite::Result<()> {
    let runs = match seen.0.entry(lane) {
        Entry::Occupied(held) => held.into_mut(),
        Entry::Vacant(place) => {
            let stored: Option<Vec<u8>> = tx
                .prepare_cached("SELECT runs FROM seen WHERE mesh = ?1 AND device = ?2 AND lane = ?3")?
                .query_row(params![lane.0, lane.1, lane.2 as i64], |row| row.get(0))
                .optional()?;
            place.insert(stored.and_then(|bytes| codec::decode(&bytes).ok()).unwrap_or_default())
        }
    };
    let _ = runs.insert(seq);
    touched.insert(lane, ());
    Ok(())
}

/// Raises a state; a later one is never replaced by an earlier one, and a claim only counts for what was sent.
fn set_state(
    tx: &Connection,
    mesh: i64,
    (id, device, member): (&[u8; 16], &[u8; 32], &[u8; 32]),
    state: MessageState,
    at: u64,
    visible: bool,
) -> rusqlite::Result<()> {
    let (rank, why) = state.code();
    let known: Option<(u8, Option<String>, bool)> = tx
        .prepare_cached("SELECT state, reason, visible FROM sent WHERE mesh = ?1 AND id = ?2 AND device = ?3")?
        .query_row(params![mesh, id, device], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let visible = match known {
        Some((old, reason, visible)) => {
            let old = MessageState::from_code(old, reason.as_deref()).unwrap_or(MessageState::Queued);
            if !old.may_become(state) {
                return Ok(());
            }
            tx.prepare_cached(
                "UPDATE sent SET state = ?4, reason = ?5, at = ?6 WHERE mesh = ?1 AND id = ?2 AND device = ?3",
            )?
            .execute(params![mesh, id, device, rank, why, at as i64])?;
            visible
        }
        // A claim about a message that was never sent to that device says nothing.
        None if matches!(state, MessageState::Injected | MessageState::Read) => return Ok(()),
        None => {
            tx.prepare_cached(
                "INSERT INTO sent (mesh, id, device, member, state, reason, at, visible)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![mesh, id, device, member, rank, why, at as i64, visible])?;
            visible
        }
    };
    // `queued` and `accepted` are steps on the way; the feed tells what the sender cannot see by itself.
    if visible && !matches!(state, MessageState::Queued | MessageState::Accepted) {
        tx.prepare_cached("INSERT INTO event (mesh, kind, id, member, state, text) VALUES (?1, 2, ?2, ?3, ?4, ?5)")?
            .execute(params![mesh, id, member, rank, why])?;
    }
    Ok(())
}

fn insert_inbox(tx: &Connection, mesh: i64, row: &InboxRow, hash: Option<&Hash>) -> rusqlite::Result<()> {
    let (kind, body): (i64, &[u8]) = match &row.body {
        InboxBody::Text(text) => (0, text.as_bytes()),
        InboxBody::Undecodable { kind, bytes } => (*kind as i64, &bytes.0),
    };
    let addressed: Vec<u8> = row.to.iter().flat_map(|member| *member.as_bytes()).collect();
    tx.prepare_cached(
        "INSERT OR IGNORE INTO inbox (mesh, device, id, member, from_session, session, addressed, kind, body, sent_at,
         received_at, priority, reply_to, copy, hops, hash, bare)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    )?
    .execute(params![
        mesh,
        row.device.as_bytes(),
        row.id.as_bytes(),
        row.member.as_bytes(),
        row.from_session,
        row.session.as_deref().unwrap_or(crate::DEFAULT_SESSION),
        addressed,
        kind,
        body,
        row.sent_at.0 as i64,
        row.received_at.0 as i64,
        row.priority.code() as i64,
        row.reply_to.as_ref().map(|id| *id.as_bytes()),
        row.copy,
        row.hops as i64,
        hash,
        row.session.is_none(),
    ])?;
    if tx.changes() == 1 && kind == 0 && !row.copy {
        let inbox = tx.last_insert_rowid();
        tx.prepare_cached("INSERT INTO event (mesh, kind, ref) VALUES (?1, 1, ?2)")?.execute(params![mesh, inbox])?;
    }
    Ok(())
}

fn apply_extra(tx: &Connection, mesh: i64, extra: &Extra) -> rusqlite::Result<()> {
    match extra {
        Extra::RosterEvent { change, member, index } => tx
            .prepare_cached("INSERT INTO event (mesh, kind, ref, member, text) VALUES (?1, 3, ?2, ?3, ?4)")?
            .execute(params![mesh, *index as i64, member, change])
            .map(drop),
        Extra::Fingerprint { id, hash } => tx
            .prepare_cached("INSERT OR IGNORE INTO fingerprint (mesh, id, hash) VALUES (?1, ?2, ?3)")?
            .execute(params![mesh, id, hash])
            .map(drop),
        Extra::Request { id, hash, ticket } => request::begin(tx, mesh, id, hash, *ticket),
        Extra::Invite { id, link } => tx
            .prepare_cached("INSERT OR REPLACE INTO invite (mesh, id, link) VALUES (?1, ?2, ?3)")?
            .execute(params![mesh, id, link])
            .map(drop),
        Extra::Injected { messages } => session::injected(tx, messages, now_ms()),
        Extra::Told { messages, claim } => session::told(tx, messages, *claim),
        Extra::Addressed { id, session } => session::addressed(tx, mesh, id, session),
    }
}

/// Wall-clock milliseconds.
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
