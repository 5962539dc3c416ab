//! Erasing rooms.

use rusqlite::Connection;

use super::{rebuild, search, span, unread};

/// Deleting a text from an index costs about as much as indexing this many.
const DELETE_COST: i64 = 8;

/// Erases all that is known of some rooms, texts and indices included. Rooms that go together are best erased together.
pub(crate) fn rooms(tx: &Connection, rooms: &[i64]) -> rusqlite::Result<()> {
    search::index_new(tx)?;
    erase_texts(
        tx,
        rooms,
        "post",
        "INSERT INTO post_text (post_text, rowid, text) SELECT 'delete', key, text FROM post WHERE key BETWEEN ?1 AND ?2",
    )?;
    erase_texts(
        tx,
        rooms,
        "memory",
        "INSERT INTO memory_text (memory_text, rowid, text, tags)
         SELECT 'delete', key, text, tags FROM memory WHERE key BETWEEN ?1 AND ?2 AND erased = 0",
    )?;
    for room in rooms {
        let (low, high) = span(*room);
        for sql in [
            "DELETE FROM notification WHERE key BETWEEN ?1 AND ?2",
            "DELETE FROM room_record WHERE key BETWEEN ?1 AND ?2",
            "DELETE FROM room_stays WHERE key BETWEEN ?1 AND ?2",
            "DELETE FROM post_erased WHERE key BETWEEN ?1 AND ?2",
        ] {
            tx.execute(sql, [low, high])?;
        }
        let chunks = [unread::chunk(low), unread::chunk(high)];
        tx.execute("DELETE FROM post_count WHERE chunk BETWEEN ?1 AND ?2", chunks)?;
        rebuild::clear(tx, *room)?;
        tx.execute("DELETE FROM room_ignored WHERE room = ?1", [room])?;
        tx.execute("DELETE FROM topic_read WHERE room = ?1", [room])?;
    }
    Ok(())
}

/// Erases the rows of a table with texts. Its index is built anew when that is the lesser work.
fn erase_texts(tx: &Connection, rooms: &[i64], table: &str, unindex: &str) -> rusqlite::Result<()> {
    let count = |sql: &str, (low, high): (i64, i64)| tx.query_row(sql, [low, high], |row| row.get::<_, i64>(0));
    let within = format!("SELECT COUNT(*) FROM {table} WHERE key BETWEEN ?1 AND ?2");
    let all = count(&within, (i64::MIN, i64::MAX))?;
    let mut gone = 0;
    for room in rooms {
        gone += count(&within, span(*room))?;
    }
    let anew = gone * DELETE_COST > all - gone;
    for room in rooms {
        let (low, high) = span(*room);
        if !anew {
            tx.execute(unindex, [low, high])?;
        }
        tx.execute(&format!("DELETE FROM {table} WHERE key BETWEEN ?1 AND ?2"), [low, high])?;
    }
    if anew && gone > 0 {
        tx.execute(&format!("INSERT INTO {table}_text ({table}_text) VALUES ('rebuild')"), [])?;
    }
    Ok(())
}
