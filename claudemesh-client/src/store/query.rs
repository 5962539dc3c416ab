//! Questions of the service: meshes, messages, inbox, events.

use claudemesh_core::session::MessageState;
use rusqlite::{Connection, OptionalExtension, Row, params};
use zeroize::Zeroizing;

use super::view::event::{self, Told};
use super::{Store, db_error};
use crate::error::{Error, ErrorKind};

/// A mesh of the home.
#[derive(Clone, Debug)]
pub(crate) struct MeshRow {
    pub(crate) row: i64,
    pub(crate) mesh: [u8; 32],
    pub(crate) device_seed: Zeroizing<[u8; 32]>,
    pub(crate) label: String,
    pub(crate) name: String,
    pub(crate) broker_url: String,
    pub(crate) broker_key: [u8; 32],
    pub(crate) insecure: bool,
    pub(crate) embedded: bool,
    pub(crate) state: String,
    pub(crate) selected: bool,
    /// Member ids and names from the invite.
    pub(crate) hints: Vec<u8>,
}

/// A mesh to be stored, with its roster so far.
#[derive(Debug)]
pub(crate) struct NewMesh {
    pub(crate) row: MeshRow,
    pub(crate) roster: Vec<Vec<u8>>,
}

/// One recipient of a sent message.
#[derive(Clone, Debug)]
pub(crate) struct MessageRow {
    pub(crate) device: [u8; 32],
    pub(crate) member: [u8; 32],
    pub(crate) state: MessageState,
    pub(crate) at: u64,
    /// The session of the recipient's that was addressed or has it.
    pub(crate) session: Option<String>,
    /// Why it waits there.
    pub(crate) wait: Option<String>,
}

/// A received message.
#[derive(Clone, Debug)]
pub(crate) struct InboxItem {
    pub(crate) id: [u8; 16],
    pub(crate) member: [u8; 32],
    pub(crate) from_session: Option<String>,
    pub(crate) session: String,
    pub(crate) to: Vec<[u8; 32]>,
    pub(crate) body: String,
    pub(crate) sent_at: u64,
    pub(crate) received_at: u64,
    pub(crate) priority: u64,
    pub(crate) reply_to: Option<[u8; 16]>,
    pub(crate) copy: bool,
    pub(crate) read: bool,
}

/// An event of the feed.
#[derive(Clone, Debug)]
pub(crate) enum EventRow {
    Message(Box<InboxItem>),
    Receipt {
        id: [u8; 16],
        member: [u8; 32],
        state: MessageState,
    },
    Roster {
        change: String,
        member: Option<[u8; 32]>,
        index: u64,
    },
    Room(Box<Told>),
    /// What it told of is not there any more.
    Gone,
}

/// An invite made here.
#[derive(Clone, Debug)]
pub(crate) struct StoredInvite {
    pub(crate) id: [u8; 32],
    pub(crate) link: String,
}

const INBOX_COLUMNS: &str = "inbox.id, inbox.member, inbox.from_session, inbox.session, inbox.addressed,
    inbox.body, inbox.sent_at, inbox.received_at, inbox.priority, inbox.reply_to, inbox.copy, inbox.read_at";

fn inbox_item(row: &Row<'_>, at: usize) -> rusqlite::Result<InboxItem> {
    let addressed: Vec<u8> = row.get(at + 4)?;
    let body: Vec<u8> = row.get(at + 5)?;
    Ok(InboxItem {
        id: row.get(at)?,
        member: row.get(at + 1)?,
        from_session: row.get(at + 2)?,
        session: row.get(at + 3)?,
        to: addressed.chunks_exact(32).filter_map(|chunk| chunk.try_into().ok()).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        sent_at: row.get::<_, i64>(at + 6)? as u64,
        received_at: row.get::<_, i64>(at + 7)? as u64,
        priority: row.get::<_, i64>(at + 8)? as u64,
        reply_to: row.get(at + 9)?,
        copy: row.get(at + 10)?,
        read: row.get::<_, Option<i64>>(at + 11)?.is_some(),
    })
}

/// What it means that a mesh cannot be stored.
pub(super) fn not_free(error: rusqlite::Error) -> Error {
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) {
        return Error::new(ErrorKind::Conflict, "this home has that mesh, or one with that label")
            .with_hint("see `claudemesh mesh list`; choose another label with --mesh LABEL");
    }
    db_error(error)
}

pub(super) fn insert_roster(tx: &Connection, mesh: i64, roster: &[Vec<u8>]) -> Result<(), Error> {
    let mut sql = tx.prepare_cached("INSERT INTO roster (mesh, idx, entry) VALUES (?1, ?2, ?3)").map_err(db_error)?;
    for (index, entry) in roster.iter().enumerate() {
        sql.execute(params![mesh, index as i64, entry]).map_err(db_error)?;
    }
    Ok(())
}

fn state(rank: u8, why: Option<&str>) -> MessageState {
    MessageState::from_code(rank, why).unwrap_or(MessageState::Queued)
}

impl Store {
    pub(crate) async fn meshes(&self) -> Result<Vec<MeshRow>, Error> {
        self.run(|store| {
            let mut sql = store
                .db
                .prepare_cached(
                    "SELECT id, mesh, device_seed, label, name, broker_url, broker_key, insecure, embedded, state, selected, hints
                     FROM mesh ORDER BY id",
                )
                .map_err(db_error)?;
            let rows = sql
                .query_map([], |row| {
                    Ok(MeshRow {
                        row: row.get(0)?,
                        mesh: row.get(1)?,
                        device_seed: Zeroizing::new(row.get(2)?),
                        label: row.get(3)?,
                        name: row.get(4)?,
                        broker_url: row.get(5)?,
                        broker_key: row.get(6)?,
                        insecure: row.get(7)?,
                        embedded: row.get(8)?,
                        state: row.get(9)?,
                        selected: row.get(10)?,
                        hints: row.get::<_, Option<Vec<u8>>>(11)?.unwrap_or_default(),
                    })
                })
                .map_err(db_error)?;
            rows.collect::<Result<_, _>>().map_err(db_error)
        })
        .await
    }

    /// Stores a new mesh with its device key, before anything of it is sent.
    pub(crate) async fn add_mesh(&self, new: NewMesh) -> Result<i64, Error> {
        self.run(move |store| {
            let tx = store.db.transaction().map_err(db_error)?;
            let NewMesh { row, roster } = new;
            let inserted = tx.execute(
                "INSERT INTO mesh (mesh, device_seed, label, name, broker_url, broker_key, insecure, embedded, state, selected, hints)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                params![
                    row.mesh,
                    &row.device_seed[..],
                    row.label,
                    row.name,
                    row.broker_url,
                    row.broker_key,
                    row.insecure,
                    row.embedded,
                    row.state,
                    row.selected,
                    row.hints
                ],
            );
            inserted.map_err(not_free)?;
            let id = tx.last_insert_rowid();
            insert_roster(&tx, id, &roster)?;
            tx.commit().map_err(db_error)?;
            Ok(id)
        })
        .await
    }

    /// Forgets a mesh that was never joined.
    pub(crate) async fn drop_mesh(&self, mesh: i64) -> Result<(), Error> {
        self.run(move |store| {
            let tx = store.db.transaction().map_err(db_error)?;
            super::log::forget(&tx, "= ?1", mesh).map_err(db_error)?;
            for table in [
                "value",
                "roster",
                "record",
                "outbox",
                "sent",
                "fingerprint",
                "next_seq",
                "seen",
                "inbox",
                "event",
                "consumer",
                "invite",
                "permitted",
            ] {
                tx.execute(&format!("DELETE FROM {table} WHERE mesh = ?1"), [mesh]).map_err(db_error)?;
            }
            tx.execute("DELETE FROM mesh WHERE id = ?1", [mesh]).map_err(db_error)?;
            tx.commit().map_err(db_error)?;
            store.seen = Default::default();
            store.logs.clear();
            Ok(())
        })
        .await
    }

    pub(crate) async fn select_mesh(&self, mesh: i64) -> Result<(), Error> {
        self.run(move |store| {
            store.db.execute("UPDATE mesh SET selected = (id = ?1)", [mesh]).map(drop).map_err(db_error)
        })
        .await
    }

    pub(crate) async fn set_mesh_text(&self, mesh: i64, column: MeshColumn, text: String) -> Result<(), Error> {
        self.run(move |store| {
            let sql = match column {
                MeshColumn::Label => "UPDATE mesh SET label = ?2 WHERE id = ?1",
                MeshColumn::State => "UPDATE mesh SET state = ?2 WHERE id = ?1",
                MeshColumn::Broker => "UPDATE mesh SET broker_url = ?2 WHERE id = ?1",
            };
            match store.db.execute(sql, params![mesh, text]) {
                Ok(_) => Ok(()),
                Err(rusqlite::Error::SqliteFailure(error, _))
                    if error.code == rusqlite::ErrorCode::ConstraintViolation =>
                {
                    Err(Error::new(ErrorKind::Conflict, "another mesh of this home has that label")
                        .with_hint("choose another label"))
                }
                Err(error) => Err(db_error(error)),
            }
        })
        .await
    }

    /// A sent message by id: its visible recipients.
    pub(crate) async fn message(&self, mesh: i64, id: [u8; 16]) -> Result<Vec<MessageRow>, Error> {
        self.run(move |store| message(&store.db, mesh, &id)).await
    }

    pub(crate) async fn fingerprint(&self, mesh: i64, id: [u8; 16]) -> Result<Option<[u8; 32]>, Error> {
        self.run(move |store| {
            store
                .db
                .query_row("SELECT hash FROM fingerprint WHERE mesh = ?1 AND id = ?2", params![mesh, id], |row| {
                    row.get(0)
                })
                .optional()
                .map_err(db_error)
        })
        .await
    }

    /// Messages of a session, oldest first, the newest `limit`.
    pub(crate) async fn inbox(
        &self,
        mesh: i64,
        session: String,
        unread: bool,
        limit: u32,
    ) -> Result<Vec<InboxItem>, Error> {
        self.run(move |store| {
            let filter = if unread { "AND read_at IS NULL AND copy = 0" } else { "" };
            // Unread mail is taken from the oldest on, so that nothing is passed over; history from the newest.
            let order = if unread { "ASC" } else { "DESC" };
            let sql = format!(
                "SELECT {INBOX_COLUMNS} FROM inbox WHERE mesh = ?1 AND session = ?2 AND kind = 0 {filter}
                 ORDER BY row {order} LIMIT ?3"
            );
            let mut statement = store.db.prepare_cached(&sql).map_err(db_error)?;
            let rows =
                statement.query_map(params![mesh, session, limit], |row| inbox_item(row, 0)).map_err(db_error)?;
            let mut items: Vec<InboxItem> = rows.collect::<Result<_, _>>().map_err(db_error)?;
            if !unread {
                items.reverse();
            }
            Ok(items)
        })
        .await
    }

    /// Sending devices of received messages, by sender's member and id.
    pub(crate) async fn senders(
        &self,
        mesh: i64,
        names: Vec<([u8; 32], [u8; 16])>,
    ) -> Result<Vec<([u8; 32], [u8; 16])>, Error> {
        self.run(move |store| {
            let mut found = Vec::new();
            for (member, id) in names {
                let device: Option<[u8; 32]> = store
                    .db
                    .prepare_cached(
                        "SELECT device FROM inbox WHERE mesh = ?1 AND member = ?2 AND id = ?3 AND read_at IS NULL",
                    )
                    .and_then(|mut sql| sql.query_row(params![mesh, member, id], |row| row.get(0)).optional())
                    .map_err(db_error)?;
                found.extend(device.map(|device| (device, id)));
            }
            Ok(found)
        })
        .await
    }

    /// Events after a position, with the position of the last one.
    pub(crate) async fn events(&self, mesh: i64, after: u64, limit: u32) -> Result<Vec<(u64, EventRow)>, Error> {
        self.run(move |store| {
            let sql = format!(
                "SELECT event.position, event.kind, event.ref, event.id, event.member, event.state, event.text, {INBOX_COLUMNS}
                 FROM event LEFT JOIN inbox ON event.kind = 1 AND inbox.row = event.ref
                 WHERE event.mesh = ?1 AND event.position > ?2 ORDER BY event.position LIMIT ?3"
            );
            let mut statement = store.db.prepare_cached(&sql).map_err(db_error)?;
            let rows = statement
                .query_map(params![mesh, after as i64, limit], |row| {
                    let position = row.get::<_, i64>(0)? as u64;
                    let event = match row.get::<_, i64>(1)? {
                        kind if event::is_told(kind) => {
                            let told = event::read(&store.db, kind, row.get(2)?)?;
                            told.map_or(EventRow::Gone, |told| EventRow::Room(Box::new(told)))
                        }
                        1 => EventRow::Message(Box::new(inbox_item(row, 7)?)),
                        2 => EventRow::Receipt {
                            id: row.get(3)?,
                            member: row.get(4)?,
                            state: state(row.get(5)?, row.get::<_, Option<String>>(6)?.as_deref()),
                        },
                        _ => EventRow::Roster {
                            change: row.get(6)?,
                            member: row.get(4)?,
                            index: row.get::<_, i64>(2)? as u64,
                        },
                    };
                    Ok((position, event))
                })
                .map_err(db_error)?;
            rows.collect::<Result<_, _>>().map_err(db_error)
        })
        .await
    }

    /// Position of the last event, 0 when there is none.
    pub(crate) async fn last_position(&self, mesh: i64) -> Result<u64, Error> {
        self.run(move |store| {
            store
                .db
                .query_row("SELECT COALESCE(MAX(position), 0) FROM event WHERE mesh = ?1", [mesh], |row| {
                    row.get::<_, i64>(0)
                })
                .map(|position| position as u64)
                .map_err(db_error)
        })
        .await
    }

    /// A consumer's committed position; a new consumer starts at the end of the feed.
    pub(crate) async fn consumer(&self, mesh: i64, name: String) -> Result<u64, Error> {
        self.run(move |store| {
            store
                .db
                .execute(
                    "INSERT OR IGNORE INTO consumer (mesh, name, position)
                     SELECT ?1, ?2, COALESCE(MAX(position), 0) FROM event WHERE mesh = ?1",
                    params![mesh, name],
                )
                .map_err(db_error)?;
            store
                .db
                .query_row("SELECT position FROM consumer WHERE mesh = ?1 AND name = ?2", params![mesh, name], |row| {
                    row.get::<_, i64>(0)
                })
                .map(|position| position as u64)
                .map_err(db_error)
        })
        .await
    }

    pub(crate) async fn ack(&self, mesh: i64, name: String, position: u64) -> Result<(), Error> {
        self.run(move |store| {
            store
                .db
                .execute(
                    "INSERT INTO consumer (mesh, name, position) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET position = MAX(position, excluded.position)",
                    params![mesh, name, position as i64],
                )
                .map(drop)
                .map_err(db_error)
        })
        .await
    }

    /// Links of invites made here.
    pub(crate) async fn invite_links(&self, mesh: i64) -> Result<Vec<StoredInvite>, Error> {
        self.run(move |store| {
            let mut sql = store.db.prepare_cached("SELECT id, link FROM invite WHERE mesh = ?1").map_err(db_error)?;
            let rows = sql
                .query_map([mesh], |row| Ok(StoredInvite { id: row.get(0)?, link: row.get(1)? }))
                .map_err(db_error)?;
            rows.collect::<Result<_, _>>().map_err(db_error)
        })
        .await
    }

    /// Queued, held and unread messages.
    pub(crate) async fn counts(&self, mesh: i64) -> Result<(u64, u64, u64), Error> {
        self.run(move |store| {
            let count = |sql: &str| {
                store.db.query_row(sql, [mesh], |row| row.get::<_, i64>(0)).map(|count| count as u64).map_err(db_error)
            };
            Ok((
                count("SELECT COUNT(*) FROM sent WHERE mesh = ?1 AND visible = 1 AND state = 0")?,
                count("SELECT COUNT(*) FROM sent WHERE mesh = ?1 AND visible = 1 AND state = 1")?,
                count("SELECT COUNT(*) FROM inbox WHERE mesh = ?1 AND read_at IS NULL AND copy = 0 AND kind = 0")?,
            ))
        })
        .await
    }
}

/// A text column of a mesh that may change.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MeshColumn {
    Label,
    State,
    Broker,
}

/// Received messages by their rows.
pub(super) fn inbox_items(db: &Connection, rows: &[i64]) -> rusqlite::Result<Vec<InboxItem>> {
    let mut sql = db.prepare_cached(&format!("SELECT {INBOX_COLUMNS} FROM inbox WHERE row = ?1"))?;
    rows.iter().map(|row| sql.query_row([row], |row| inbox_item(row, 0))).collect()
}

fn message(db: &Connection, mesh: i64, id: &[u8; 16]) -> Result<Vec<MessageRow>, Error> {
    let mut sql = db
        .prepare_cached(
            "SELECT device, member, state, reason, at, session, wait FROM sent
             WHERE mesh = ?1 AND id = ?2 AND visible = 1",
        )
        .map_err(db_error)?;
    let rows = sql
        .query_map(params![mesh, id], |row| {
            Ok(MessageRow {
                device: row.get(0)?,
                member: row.get(1)?,
                state: state(row.get(2)?, row.get::<_, Option<String>>(3)?.as_deref()),
                at: row.get::<_, i64>(4)? as u64,
                session: row.get(5)?,
                wait: row.get(6)?,
            })
        })
        .map_err(db_error)?;
    rows.collect::<Result<_, _>>().map_err(db_error)
}
