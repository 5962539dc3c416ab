//! How long topics keep their posts. A post past its time is erased, text and index; what is left of it says that its id is
//! taken, until its entry is compacted.

use claudemesh_core::record::TopicRetention;
use rusqlite::{Connection, params};

use super::{Author, Room, post, role, span, sql};

/// Posts erased in one transaction.
const AT_ONCE: u32 = 512;

/// A lead says how long posts are kept.
pub(super) fn set(
    tx: &Connection,
    room: &Room,
    author: &Author,
    key: i64,
    retention: &TopicRetention,
) -> rusqlite::Result<bool> {
    if !role::leads(tx, room, author, key)? {
        return Ok(false);
    }
    sql::run(
        tx,
        "INSERT OR REPLACE INTO topic_retention (room, seconds) VALUES (?1, ?2)",
        params![room.n, i64::try_from(retention.seconds).unwrap_or(i64::MAX)],
    )?;
    Ok(true)
}

/// For how many seconds a topic keeps its posts; none for ever.
pub(crate) fn of(db: &Connection, room: i64) -> rusqlite::Result<Option<u64>> {
    let seconds =
        sql::first(db, "SELECT seconds FROM topic_retention WHERE room = ?1", [room], |row| row.get::<_, i64>(0))?;
    Ok(seconds.filter(|seconds| *seconds > 0).map(i64::unsigned_abs))
}

/// Posts sent before this are past their time: in milliseconds.
pub(super) fn horizon(seconds: u64, now: u64) -> i64 {
    i64::try_from(now.saturating_sub(seconds.saturating_mul(1000))).unwrap_or(i64::MAX)
}

/// The shortest retention of any topic, seconds.
pub(crate) fn shortest(db: &Connection) -> rusqlite::Result<Option<u64>> {
    let least = sql::first(db, "SELECT MIN(seconds) FROM topic_retention WHERE seconds > 0", [], |row| {
        row.get::<_, Option<i64>>(0)
    })?;
    Ok(least.flatten().map(i64::unsigned_abs))
}

/// Erases posts that are past their time at `now`, in milliseconds: so many at most. True when there may be more.
pub(crate) fn sweep(tx: &Connection, now: u64) -> rusqlite::Result<bool> {
    let rooms = sql::all(tx, "SELECT room, seconds FROM topic_retention WHERE seconds > 0", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
    })?;
    for (room, seconds) in rooms {
        let (low, high) = span(room);
        let due = sql::all(
            tx,
            "SELECT key FROM post WHERE key BETWEEN ?1 AND ?2 AND sent_at < ?3 LIMIT ?4",
            params![low, high, horizon(seconds, now), AT_ONCE],
            |row| row.get::<_, i64>(0),
        )?;
        due.iter().try_for_each(|key| post::erase(tx, *key))?;
        if due.len() == AT_ONCE as usize {
            return Ok(true);
        }
    }
    Ok(false)
}
