//! New posts and notifications in the feed of events, by the key of their record.

use rusqlite::{Connection, params};

use super::Room;
use super::batch::Batch;
use super::notification::{self, NotificationRow};
use super::post::{self, PostRow};
use super::sql;

/// Kinds of the feed's rows: `event.kind`.
const POST: i64 = 4;
const NOTIFICATION: i64 = 5;

/// Something new in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Post(PostRow),
    Notification(NotificationRow),
}

const TELL: &str = "INSERT INTO event (mesh, kind, ref) VALUES (?1, ?2, ?3)";

pub(super) fn post(batch: &mut Batch<'_>, room: &Room, key: i64) -> rusqlite::Result<()> {
    batch.event.get(batch.tx, TELL)?.execute(params![room.mesh, POST, key]).map(drop)
}

pub(super) fn notification(tx: &Connection, room: &Room, key: i64) -> rusqlite::Result<()> {
    sql::run(tx, TELL, params![room.mesh, NOTIFICATION, key]).map(drop)
}

/// Whether rows of this kind tell of a room.
pub(crate) const fn is_told(kind: i64) -> bool {
    matches!(kind, POST | NOTIFICATION)
}

/// What a row of the feed tells of a room; none when it is not there any more.
pub(crate) fn read(db: &Connection, kind: i64, key: i64) -> rusqlite::Result<Option<Told>> {
    match kind {
        POST => Ok(post::shown(db, key)?.map(Told::Post)),
        NOTIFICATION => Ok(notification::one(db, key)?.map(Told::Notification)),
        _ => Ok(None),
    }
}
