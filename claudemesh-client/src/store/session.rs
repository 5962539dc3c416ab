//! Sessions of hosts and what became of messages in them.

use rusqlite::{Connection, params};

use super::{Store, db_error};
use crate::error::{Error, ErrorKind};
use crate::sessions::Entry;

/// A message that waits for a session.
#[derive(Clone, Debug)]
pub(crate) struct WaitingRow {
    pub(crate) inbox: i64,
    pub(crate) device: [u8; 32],
    pub(crate) id: [u8; 16],
    pub(crate) member: [u8; 32],
    pub(crate) from_session: Option<String>,
    pub(crate) priority: u64,
    pub(crate) permitted: bool,
    /// The notice that tells of it.
    pub(crate) notice: Option<String>,
    /// When that was written to the session.
    pub(crate) posted_at: Option<i64>,
    pub(crate) posts: u64,
    pub(crate) injected: bool,
    /// The claim that its sender was told last.
    pub(crate) told: Option<u64>,
}

/// Messages looked at for a session at once, the oldest.
const MOST: i64 = 512;

impl Store {
    pub(crate) async fn host_sessions(&self) -> Result<Vec<Entry>, Error> {
        self.run(|store| {
            let mut sql = store.db.prepare_cached("SELECT data FROM host_session").map_err(db_error)?;
            let rows = sql.query_map([], |row| row.get::<_, String>(0)).map_err(db_error)?;
            // A session of a form that this version does not know is none.
            let entries = rows.filter_map(|row| row.map(|text| serde_json::from_str(&text).ok()).transpose());
            entries.collect::<Result<_, _>>().map_err(db_error)
        })
        .await
    }

    /// Keeps sessions, and forgets others.
    pub(crate) async fn keep_sessions(&self, kept: Vec<Entry>, gone: Vec<String>) -> Result<(), Error> {
        let kept: Vec<(String, String)> = kept
            .into_iter()
            .map(|entry| serde_json::to_string(&entry).map(|text| (entry.name, text)))
            .collect::<Result<_, _>>()
            .map_err(|error| Error::new(ErrorKind::Internal, "a session does not become JSON").with_source(error))?;
        self.relaxed(move |tx| {
            for name in &gone {
                tx.execute("DELETE FROM host_session WHERE name = ?1", [name])?;
            }
            for (name, data) in &kept {
                tx.execute("INSERT OR REPLACE INTO host_session (name, data) VALUES (?1, ?2)", [name, data])?;
            }
            Ok(())
        })
        .await
    }

    /// A session has another name: what waits for it goes with it.
    pub(crate) async fn rename_session(&self, from: String, to: String) -> Result<(), Error> {
        self.relaxed(move |tx| {
            tx.execute("DELETE FROM host_session WHERE name = ?1", [&from])?;
            tx.execute("UPDATE inbox SET session = ?2 WHERE session = ?1 AND read_at IS NULL", [&from, &to]).map(drop)
        })
        .await
    }

    /// Gives a session the unread messages that were for no session in particular.
    pub(crate) async fn adopt(&self, mesh: i64, session: String) -> Result<(), Error> {
        let waits = self.run(move |store| {
            store
                .db
                .prepare_cached(
                    "SELECT 1 FROM inbox WHERE mesh = ?1 AND session = ?2 AND read_at IS NULL AND copy = 0 AND bare = 1",
                )
                .and_then(|mut sql| sql.exists(params![mesh, crate::DEFAULT_SESSION]))
                .map_err(db_error)
        });
        if !waits.await? {
            return Ok(());
        }
        self.relaxed(move |tx| {
            let sql = "UPDATE inbox SET session = ?3
                       WHERE mesh = ?1 AND session = ?2 AND read_at IS NULL AND copy = 0 AND bare = 1";
            tx.execute(sql, params![mesh, crate::DEFAULT_SESSION, session]).map(drop)
        })
        .await
    }

    /// The unread messages of a session, the oldest.
    pub(crate) async fn waiting(&self, mesh: i64, session: String) -> Result<Vec<WaitingRow>, Error> {
        self.run(move |store| waiting(&store.db, mesh, &session).map_err(db_error)).await
    }

    /// A notice tells of these messages.
    pub(crate) async fn notice(&self, id: String, messages: Vec<i64>) -> Result<(), Error> {
        self.relaxed(move |tx| {
            let mut sql = tx.prepare_cached(
                "INSERT INTO handing (inbox, notice) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET notice = excluded.notice, posted_at = NULL",
            )?;
            messages.iter().try_for_each(|inbox| sql.execute(params![inbox, id]).map(drop))
        })
        .await
    }

    /// These notices were written to their session.
    pub(crate) async fn posted(&self, ids: Vec<String>, at: i64) -> Result<(), Error> {
        self.relaxed(move |tx| {
            let mut sql = tx.prepare_cached(
                "UPDATE handing SET posted_at = ?2, posts = posts + 1 WHERE notice = ?1 AND posted_at IS NULL",
            )?;
            ids.iter().try_for_each(|id| sql.execute(params![id, at]).map(drop))
        })
        .await
    }

    /// What notices told a session of and was not confirmed yet: rows, sending devices and ids of one mesh's messages.
    pub(crate) async fn told_by(
        &self,
        mesh: i64,
        session: String,
        notices: Vec<String>,
    ) -> Result<Vec<(i64, [u8; 32], [u8; 16])>, Error> {
        self.run(move |store| {
            let mut found = Vec::new();
            let mut sql = store
                .db
                .prepare_cached(
                    "SELECT inbox.row, inbox.device, inbox.id FROM handing JOIN inbox ON inbox.row = handing.inbox
                     WHERE handing.notice = ?1 AND handing.injected_at IS NULL AND inbox.mesh = ?2 AND inbox.session = ?3",
                )
                .map_err(db_error)?;
            for notice in notices {
                let rows = sql
                    .query_map(params![notice, mesh, session], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                    .map_err(db_error)?;
                for row in rows {
                    found.push(row.map_err(db_error)?);
                }
            }
            Ok(found)
        })
        .await
    }

    /// Received messages by their rows.
    pub(crate) async fn items(&self, rows: Vec<i64>) -> Result<Vec<super::InboxItem>, Error> {
        self.run(move |store| super::query::inbox_items(&store.db, &rows).map_err(db_error)).await
    }

    /// How much sessions are told at most, as far as somebody said.
    pub(crate) async fn limits(&self) -> Result<Vec<(String, u32)>, Error> {
        self.run(|store| {
            let mut sql = store.db.prepare_cached("SELECT name, value FROM host_limit").map_err(db_error)?;
            let rows = sql.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(db_error)?;
            rows.collect::<Result<_, _>>().map_err(db_error)
        })
        .await
    }

    pub(crate) async fn set_limit(&self, name: &'static str, value: u32) -> Result<(), Error> {
        self.run(move |store| {
            let sql = "INSERT OR REPLACE INTO host_limit (name, value) VALUES (?1, ?2)";
            store.db.execute(sql, params![name, value]).map(drop).map_err(db_error)
        })
        .await
    }

    /// Permits a member, or ends that.
    pub(crate) async fn permit(&self, mesh: i64, member: [u8; 32], permit: bool) -> Result<(), Error> {
        self.run(move |store| {
            let sql = match permit {
                true => "INSERT OR IGNORE INTO permitted (mesh, member) VALUES (?1, ?2)",
                false => "DELETE FROM permitted WHERE mesh = ?1 AND member = ?2",
            };
            store.db.execute(sql, params![mesh, member]).map(drop).map_err(db_error)
        })
        .await
    }

    pub(crate) async fn permitted(&self, mesh: i64) -> Result<Vec<[u8; 32]>, Error> {
        self.run(move |store| {
            let mut sql = store.db.prepare_cached("SELECT member FROM permitted WHERE mesh = ?1").map_err(db_error)?;
            let rows = sql.query_map([mesh], |row| row.get(0)).map_err(db_error)?;
            rows.collect::<Result<_, _>>().map_err(db_error)
        })
        .await
    }
}

fn waiting(db: &Connection, mesh: i64, session: &str) -> rusqlite::Result<Vec<WaitingRow>> {
    let mut sql = db.prepare_cached(
        "SELECT inbox.row, inbox.device, inbox.id, inbox.member, inbox.from_session, inbox.priority,
           EXISTS (SELECT 1 FROM permitted WHERE permitted.mesh = inbox.mesh AND permitted.member = inbox.member),
           handing.notice, handing.posted_at, COALESCE(handing.posts, 0), handing.injected_at, handing.told
         FROM inbox LEFT JOIN handing ON handing.inbox = inbox.row
         WHERE inbox.mesh = ?1 AND inbox.session = ?2 AND inbox.read_at IS NULL AND inbox.copy = 0 AND inbox.kind = 0
         ORDER BY inbox.row LIMIT ?3",
    )?;
    let rows = sql.query_map(params![mesh, session, MOST], |row| {
        Ok(WaitingRow {
            inbox: row.get(0)?,
            device: row.get(1)?,
            id: row.get(2)?,
            member: row.get(3)?,
            from_session: row.get(4)?,
            priority: row.get::<_, i64>(5)?.unsigned_abs(),
            permitted: row.get(6)?,
            notice: row.get(7)?,
            posted_at: row.get(8)?,
            posts: row.get::<_, i64>(9)?.unsigned_abs(),
            injected: row.get::<_, Option<i64>>(10)?.is_some(),
            told: row.get::<_, Option<i64>>(11)?.map(i64::unsigned_abs),
        })
    })?;
    rows.collect()
}

/// The host confirmed these messages.
pub(super) fn injected(tx: &Connection, messages: &[i64], at: i64) -> rusqlite::Result<()> {
    let mut sql = tx.prepare_cached(
        "INSERT INTO handing (inbox, injected_at) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET injected_at = COALESCE(injected_at, excluded.injected_at)",
    )?;
    messages.iter().try_for_each(|inbox| sql.execute(params![inbox, at]).map(drop))
}

/// Senders of these messages were told why they wait.
pub(super) fn told(tx: &Connection, messages: &[i64], claim: u64) -> rusqlite::Result<()> {
    let mut sql = tx.prepare_cached(
        "INSERT INTO handing (inbox, told) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET told = excluded.told",
    )?;
    messages.iter().try_for_each(|inbox| sql.execute(params![inbox, claim as i64]).map(drop))
}

/// What a recipient said of a message that was sent to it.
pub(super) fn claimed(
    tx: &Connection,
    mesh: i64,
    (id, device): (&[u8; 16], &[u8; 32]),
    session: Option<&str>,
    wait: Option<&str>,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE sent SET session = COALESCE(?4, session), wait = ?5 WHERE mesh = ?1 AND id = ?2 AND device = ?3",
    )?
    .execute(params![mesh, id, device, session, wait])
    .map(drop)
}

/// Which session a message was addressed to.
pub(super) fn addressed(tx: &Connection, mesh: i64, id: &[u8; 16], session: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE sent SET session = ?3 WHERE mesh = ?1 AND id = ?2 AND visible = 1 AND session IS NULL")?
        .execute(params![mesh, id, session])
        .map(drop)
}
