//! How far sessions have read topics, and what is left.
//!
//! Shown posts of others are counted in chunks of addresses, so that counting what is unread reads one chunk of posts and the
//! numbers of the rest, wherever the cursor is.

use claudemesh_core::log::directory::RecordAt;
use rusqlite::{Connection, params};

use super::{key as key_of, span, sql};

/// Bits of a key that tell the place in a chunk: 32 entries.
const CHUNK_BITS: u32 = 11;

/// Unread posts of others, and those of them that mention the own member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unread {
    pub(crate) posts: u64,
    pub(crate) mentions: u64,
}

/// The chunk of a key.
pub(super) const fn chunk(key: i64) -> i64 {
    key >> CHUNK_BITS
}

/// Shown posts of others come or, below 0, go.
pub(super) fn add(tx: &Connection, chunk: i64, posts: i64, mentions: i64) -> rusqlite::Result<()> {
    sql::run(
        tx,
        "INSERT INTO post_count (chunk, posts, mentions) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET posts = posts + excluded.posts, mentions = mentions + excluded.mentions",
        [chunk, posts, mentions],
    )
    .map(drop)
}

/// A session has read a topic up to and with an address. It never goes back.
pub(crate) fn mark_read(tx: &Connection, room: i64, session: &str, at: RecordAt) -> rusqlite::Result<()> {
    sql::run(
        tx,
        "INSERT INTO topic_read (room, session, key) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET key = MAX(key, excluded.key)",
        params![room, session, key_of(room, at)],
    )
    .map(drop)
}

/// How far a session has read a topic.
pub(crate) fn cursor(db: &Connection, room: i64, session: &str) -> rusqlite::Result<Option<RecordAt>> {
    sql::first(db, "SELECT key FROM topic_read WHERE room = ?1 AND session = ?2", params![room, session], |row| {
        row.get(0).map(super::address)
    })
}

/// What a session has not read of a topic.
pub(crate) fn unread(db: &Connection, room: i64, session: &str) -> rusqlite::Result<Unread> {
    let (low, high) = span(room);
    let read = cursor(db, room, session)?.map_or(low, |at| key_of(room, at));
    let first = chunk(read);
    let sum = |sql: &str, from: i64, to: i64| {
        sql::first(db, sql, [from, to], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .map(Option::unwrap_or_default)
    };
    let near = sum(
        "SELECT COUNT(*), COALESCE(SUM(flags >> 1 & 1), 0) FROM post
         WHERE key > ?1 AND key < ?2 AND status = 0 AND flags & 1 = 0",
        read,
        (first + 1) << CHUNK_BITS,
    )?;
    let far = sum(
        "SELECT COALESCE(SUM(posts), 0), COALESCE(SUM(mentions), 0) FROM post_count WHERE chunk > ?1 AND chunk <= ?2",
        first,
        chunk(high),
    )?;
    Ok(Unread { posts: (near.0 + far.0) as u64, mentions: (near.1 + far.1) as u64 })
}
