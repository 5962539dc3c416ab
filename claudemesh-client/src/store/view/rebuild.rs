//! Folding a room anew, when records came late.

use claudemesh_core::record::RoomRecord;
use rusqlite::{Connection, params};

use super::{Room, changes_roles, fold, kept, notification, post, refuse, role, span, sql};

/// Whether something was applied that stands after `key` and depends on the record there.
pub(super) fn is_behind(tx: &Connection, record: &RoomRecord, key: i64) -> rusqlite::Result<bool> {
    let (_, high) = span(super::room_of(key));
    let after = params![key, high];
    Ok(sql::exists(tx, "SELECT 1 FROM room_record WHERE key > ?1 AND key <= ?2", after)?
        || (changes_roles(record) && sql::exists(tx, "SELECT 1 FROM post WHERE key > ?1 AND key <= ?2", after)?))
}

/// Empties what is folded from the kept records of a room.
pub(super) fn clear(tx: &Connection, room: i64) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM topic_public WHERE room = ?1",
        "DELETE FROM topic_info WHERE room = ?1",
        "DELETE FROM topic_role WHERE room = ?1",
        "DELETE FROM topic_retention WHERE room = ?1",
        "DELETE FROM thread WHERE room = ?1",
        "DELETE FROM group_member WHERE room = ?1",
        "DELETE FROM state WHERE room = ?1",
        "DELETE FROM task WHERE room = ?1",
        "DELETE FROM forgotten WHERE room = ?1",
    ] {
        sql::run(tx, sql, [room])?;
    }
    let (low, high) = span(room);
    sql::run(tx, "DELETE FROM room_refused WHERE key BETWEEN ?1 AND ?2", [low, high]).map(drop)
}

/// Folds all kept records of a room in order, and judges its posts again if roles came out differently.
pub(super) fn rebuild(tx: &Connection, room: &Room) -> rusqlite::Result<()> {
    // What comes out anew was told when it was new.
    let room = &Room { tells: false, ..*room };
    let before = role::timeline(tx, room.n)?;
    clear(tx, room.n)?;
    notification::doubt(tx, room.n)?;
    let (low, high) = span(room.n);
    {
        let mut statement = tx.prepare_cached(
            "SELECT key, kind, admin, member, device, data FROM room_record WHERE key BETWEEN ?1 AND ?2 ORDER BY key",
        )?;
        let mut rows = statement.query([low, high])?;
        while let Some(row) = rows.next()? {
            let (author, record) = kept(row, 1)?;
            let key = row.get(0)?;
            let valid = match record {
                Some(record) => fold(tx, room, &author, key, &record)?,
                None => false,
            };
            if !valid {
                refuse(tx, key)?;
            }
        }
    }
    notification::drop_doubted(tx, room.n)?;
    if role::timeline(tx, room.n)? != before {
        post::judge_again(tx, room)?;
    }
    Ok(())
}
