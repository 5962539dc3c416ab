//! What asks for attention.

use rusqlite::Connection;

use super::{Ground, beginning, limit, read_at, show_at, time};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::store::db_error;
use crate::store::view::notification::{self, NotificationRow, Subject};

pub(crate) fn list(
    db: &Connection,
    ground: &Ground,
    query: &api::NotificationQuery,
) -> Result<api::Notifications, Error> {
    let rows =
        notification::notifications(db, ground.mesh, !query.all, limit(query.limit, 50, 1000)).map_err(db_error)?;
    let names = ground.topic_names(db)?;
    let show = |row: NotificationRow| show(ground, names.get(&row.room).cloned(), row);
    Ok(api::Notifications { notifications: rows.into_iter().map(show).collect() })
}

pub(crate) fn show(ground: &Ground, topic: Option<String>, row: NotificationRow) -> api::Notification {
    let (kind, by, subject, text) = match &row.subject {
        Subject::Mention(post) => ("mention", post.member, Some(post.id), beginning(&post.text)),
        Subject::Reply(post) => ("reply", post.member, Some(post.id), beginning(&post.text)),
        Subject::Task { id, title, by } => ("task", *by, Some(*id), beginning(title)),
        Subject::Membership { by, .. } => ("topic", *by, None, "added you to this topic".to_owned()),
    };
    api::Notification {
        id: format!("{}.{}", row.room, show_at(row.at)),
        kind: kind.into(),
        from: ground.member_ref(&by),
        topic,
        subject: subject.map(|id| id.to_string()),
        text,
        at: time(row.received_at),
        read: row.read,
    }
}

pub(crate) fn mark(db: &Connection, ground: &Ground, request: &api::NotificationRead) -> Result<api::Marked, Error> {
    let now = i64::try_from(ground.now).unwrap_or(i64::MAX);
    if request.ids.is_empty() {
        let marked = notification::mark_all_read(db, ground.mesh, ground.now, now).map_err(db_error)?;
        return Ok(api::Marked { marked });
    }
    let mut marked = 0;
    for id in &request.ids {
        let (room, at) = id.split_once('.').and_then(|(room, at)| Some((room.parse().ok()?, at))).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("{id:?} is no notification"))
                .with_hint("`claudemesh notification list` shows their ids")
        })?;
        let at = read_at(at)?;
        if !notification::exists(db, ground.mesh, room, at).map_err(db_error)? {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no notification {id}"))
                .with_hint("`claudemesh notification list --all` shows those there are"));
        }
        let done = notification::mark_read(db, ground.mesh, room, at, now).map_err(db_error)?;
        marked += u64::from(done);
    }
    Ok(api::Marked { marked })
}
