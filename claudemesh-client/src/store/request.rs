//! Changes that their callers named: what was asked for under an id, and where it stands in its log.

use claudemesh_core::MessageId;
use claudemesh_core::log::directory::RecordAt;
use rusqlite::{Connection, OptionalExtension, params};

use super::write::now_ms;
use super::{Store, db_error};
use crate::error::Error;

/// How long it is kept what became of one, milliseconds.
const KEPT: i64 = 7 * 24 * 3600 * 1000;
/// How many are kept at most.
const MOST: i64 = 100_000;

/// What was asked for, and where it was written; no place while it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestRow {
    pub(crate) hash: [u8; 32],
    pub(crate) at: Option<RecordAt>,
}

/// One begins: its record is queued under this ticket.
pub(super) fn begin(tx: &Connection, mesh: i64, id: &MessageId, hash: &[u8; 32], ticket: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR IGNORE INTO request (mesh, id, hash, at, ticket) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![mesh, id.as_bytes(), hash, now_ms(), ticket as i64])
        .map(drop)
}

/// Records are in the log, in this order from the beginning of an entry; or they never will be, and may be asked for anew.
pub(super) fn end(tx: &Connection, mesh: i64, tickets: &[u64], offset: Option<u64>) -> rusqlite::Result<()> {
    let waiting = tx.prepare_cached("SELECT 1 FROM request WHERE mesh = ?1 AND ticket IS NOT NULL")?.exists([mesh])?;
    if !waiting {
        return Ok(());
    }
    let Some(offset) = offset else {
        let mut sql = tx.prepare_cached("DELETE FROM request WHERE mesh = ?1 AND ticket = ?2")?;
        return tickets.iter().try_for_each(|ticket| sql.execute(params![mesh, *ticket as i64]).map(drop));
    };
    let mut sql =
        tx.prepare_cached("UPDATE request SET ticket = NULL, offset = ?3, idx = ?4 WHERE mesh = ?1 AND ticket = ?2")?;
    (0i64..)
        .zip(tickets)
        .try_for_each(|(index, ticket)| sql.execute(params![mesh, *ticket as i64, offset as i64, index]).map(drop))
}

/// Forgets those that are long done.
pub(super) fn sweep(tx: &Connection, now_ms: i64) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM request WHERE ticket IS NULL AND at < ?1", [now_ms - KEPT])?;
    tx.execute(
        "DELETE FROM request WHERE ticket IS NULL
         AND at < (SELECT at FROM request ORDER BY at DESC LIMIT 1 OFFSET ?1)",
        [MOST],
    )
    .map(drop)
}

impl Store {
    /// What was asked for under an id.
    pub(crate) async fn request(&self, mesh: i64, id: MessageId) -> Result<Option<RequestRow>, Error> {
        self.run(move |store| find(&store.db, mesh, &id).map_err(db_error)).await
    }
}

fn find(db: &Connection, mesh: i64, id: &MessageId) -> rusqlite::Result<Option<RequestRow>> {
    db.prepare_cached("SELECT hash, offset, idx FROM request WHERE mesh = ?1 AND id = ?2")?
        .query_row(params![mesh, id.as_bytes()], |row| {
            let (offset, index): (Option<i64>, Option<i64>) = (row.get(1)?, row.get(2)?);
            let at = offset.zip(index).map(|(offset, index)| (offset.unsigned_abs(), index.unsigned_abs()));
            Ok(RequestRow { hash: row.get(0)?, at })
        })
        .optional()
}

#[cfg(test)]
mod tests {
    use claudemesh_core::LogId;
    use claudemesh_core::log::Record;
    use claudemesh_core::session::Change;

    use super::*;
    use crate::store::Extra;

    const LOG: LogId = LogId::from_bytes([3; 16]);

    fn id(n: u8) -> MessageId {
        MessageId::from_bytes([n; 16])
    }

    /// Queues a record under each of these ids; the ids are the tickets.
    async fn ask(store: &Store, ids: &[u8]) {
        let record = |n: u8| Record { kind: 32, data: vec![n].into() };
        let changes = ids.iter().map(|n| Change::LogQueued { log: LOG, ticket: u64::from(*n), record: record(*n) });
        let begun = ids.iter().map(|n| Extra::Request { id: id(*n), hash: [*n; 32], ticket: u64::from(*n) });
        store.commit(1, changes.collect(), begun.collect(), true).await.unwrap();
    }

    async fn done(store: &Store, tickets: &[u64], offset: Option<u64>) {
        let change = Change::LogDone { log: LOG, seq: 1, tickets: tickets.into(), queued: tickets.into(), offset };
        store.commit(1, vec![change], Vec::new(), true).await.unwrap();
    }

    #[tokio::test]
    async fn the_place_is_known_once_it_is_written() {
        let store = Store::open(None).unwrap();
        ask(&store, &[5, 6, 7]).await;
        let waiting = RequestRow { hash: [6; 32], at: None };
        assert_eq!(store.request(1, id(6)).await.unwrap(), Some(waiting));
        done(&store, &[5, 6], Some(9)).await;
        assert_eq!(store.request(1, id(6)).await.unwrap(), Some(RequestRow { at: Some((9, 1)), ..waiting }));
        assert_eq!(store.request(1, id(7)).await.unwrap().unwrap().at, None);
        // Tickets are used again when the queue is empty.
        done(&store, &[6], Some(10)).await;
        assert_eq!(store.request(1, id(6)).await.unwrap().unwrap().at, Some((9, 1)));
        assert_eq!(store.request(2, id(6)).await.unwrap(), None, "another mesh knows nothing of it");
    }

    #[tokio::test]
    async fn what_was_refused_may_be_asked_for_anew() {
        let store = Store::open(None).unwrap();
        ask(&store, &[5]).await;
        done(&store, &[5], None).await;
        assert_eq!(store.request(1, id(5)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_long_done_is_forgotten_and_what_waits_is_not() {
        let store = Store::open(None).unwrap();
        ask(&store, &[5, 6]).await;
        done(&store, &[5], Some(1)).await;
        store.sweep(now_ms() + KEPT / 2).await.unwrap();
        assert!(store.request(1, id(5)).await.unwrap().is_some());
        store.sweep(now_ms() + 2 * KEPT).await.unwrap();
        assert_eq!(store.request(1, id(5)).await.unwrap(), None);
        assert!(store.request(1, id(6)).await.unwrap().is_some());
    }
}
