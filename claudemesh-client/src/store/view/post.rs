//! Posts and threads.

use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::record::Post;
use claudemesh_core::{DeviceId, MemberId, MessageId};
use rusqlite::{Connection, Row, params};

use super::batch::Batch;
use super::{Author, Room, address, event, ignore, key as key_of, notification, role, span, sql, unread};

/// What became of a post: `post.status`.
pub(super) const SHOWN: i64 = 0;
const REFUSED: i64 = 1;
const REPEATED: i64 = 2;

/// What is known of a post: bits of `post.flags`.
pub(super) const OWN: i64 = 1;
pub(super) const MENTIONS_OWN: i64 = 2;
const BY_ADMIN: i64 = 4;

/// A shown post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PostRow {
    pub(crate) room: i64,
    pub(crate) at: RecordAt,
    pub(crate) id: MessageId,
    pub(crate) member: MemberId,
    pub(crate) device: DeviceId,
    pub(crate) session: Option<String>,
    pub(crate) text: String,
    /// Milliseconds, by the author's clock.
    pub(crate) sent_at: u64,
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) mentions: Vec<MemberId>,
}

/// A post with everything that answers it, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thread {
    pub(crate) resolved: bool,
    pub(crate) posts: Vec<PostRow>,
}

/// Which posts of a room: between two addresses, both left out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Range {
    pub(crate) after: Option<RecordAt>,
    pub(crate) before: Option<RecordAt>,
}

pub(super) const COLUMNS: &str = "post.key, post.id, post.member, post.device, post.session, post.text, post.sent_at,
    post.reply_to, post.mentions";

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<PostRow> {
    let key: i64 = row.get(0)?;
    Ok(PostRow {
        room: super::room_of(key),
        at: address(key),
        id: sql::message(row, 1)?,
        member: sql::member(row, 2)?,
        device: sql::device(row, 3)?,
        session: row.get(4)?,
        text: row.get(5)?,
        sent_at: row.get::<_, i64>(6)? as u64,
        reply_to: sql::some_message(row, 7)?,
        mentions: sql::ids(row.get_ref(8)?.as_blob_or_null()?, MemberId::from_bytes),
    })
}

/// The newest posts of a range, oldest first.
pub(crate) fn history(db: &Connection, room: i64, range: Range, limit: u32) -> rusqlite::Result<Vec<PostRow>> {
    let mut posts = select(db, room, range, limit, "DESC")?;
    posts.reverse();
    Ok(posts)
}

/// The posts after an address, oldest first.
pub(crate) fn tail(db: &Connection, room: i64, after: RecordAt, limit: u32) -> rusqlite::Result<Vec<PostRow>> {
    select(db, room, Range { after: Some(after), before: None }, limit, "ASC")
}

fn select(db: &Connection, room: i64, range: Range, limit: u32, order: &str) -> rusqlite::Result<Vec<PostRow>> {
    let (low, high) = span(room);
    let low = range.after.map_or(low - 1, |at| key_of(room, at));
    let high = range.before.map_or(high.saturating_add(1), |at| key_of(room, at));
    let sql =
        format!("SELECT {COLUMNS} FROM post WHERE key > ?1 AND key < ?2 AND status = 0 ORDER BY key {order} LIMIT ?3");
    sql::all(db, &sql, params![low, high, limit], read)
}

/// A shown post by its key.
pub(super) fn shown(db: &Connection, key: i64) -> rusqlite::Result<Option<PostRow>> {
    sql::first(db, &format!("SELECT {COLUMNS} FROM post WHERE key = ?1 AND status = 0"), [key], read)
}

/// The posts of a room with this id: several members may have given it.
pub(crate) fn by_id(db: &Connection, room: i64, id: &MessageId) -> rusqlite::Result<Vec<PostRow>> {
    let (low, high) = span(room);
    let sql = format!("SELECT {COLUMNS} FROM post WHERE id = ?1 AND key BETWEEN ?2 AND ?3 AND status = 0 ORDER BY key");
    sql::all(db, &sql, params![id.as_bytes(), low, high], read)
}

/// Whether an own post of the mesh has this id.
pub(crate) fn is_own(db: &Connection, mesh: i64, id: &MessageId) -> rusqlite::Result<bool> {
    sql::exists(
        db,
        "SELECT 1 FROM post WHERE id = ?2 AND flags & 1 <> 0 AND (key >> 45) IN (SELECT n FROM log WHERE mesh = ?1)",
        params![mesh, id.as_bytes()],
    )
}

/// The thread that starts with a post, the newest `limit` of its posts.
pub(crate) fn thread(db: &Connection, room: i64, id: &MessageId, limit: u32) -> rusqlite::Result<Thread> {
    let (low, high) = span(room);
    let sql = format!(
        "WITH RECURSIVE answer (key, id) AS (
             SELECT key, id FROM post WHERE id = ?1 AND key BETWEEN ?2 AND ?3 AND status = 0
             UNION SELECT next.key, next.id FROM answer JOIN post AS next ON next.reply_to = answer.id
             WHERE next.key BETWEEN ?2 AND ?3 AND next.status = 0
         )
         SELECT {COLUMNS} FROM post WHERE key IN (SELECT key FROM answer) ORDER BY key DESC LIMIT ?4"
    );
    let mut posts = sql::all(db, &sql, params![id.as_bytes(), low, high, limit], read)?;
    posts.reverse();
    Ok(Thread { resolved: super::topic::is_resolved(db, room, id)?, posts })
}

/// Applies a post.
pub(super) fn insert(
    batch: &mut Batch<'_>,
    room: &Room,
    author: &Author,
    key: i64,
    post: &Post,
) -> rusqlite::Result<()> {
    let (tx, (low, high)) = (batch.tx, span(room.n));
    let allowed = batch.may_write(room, author, key)?;
    let named = params![post.id.as_bytes(), low, high, author.member.as_bytes()];
    let again = "SELECT 1 FROM post WHERE id = ?1 AND key BETWEEN ?2 AND ?3 AND member = ?4";
    let mut again = batch.again.get(tx, again)?.exists(named)?;
    if batch.has_erased(room.n)? {
        if sql::exists(tx, "SELECT 1 FROM post_erased WHERE key = ?1", [key])? {
            return Ok(());
        }
        let erased =
            "SELECT 1 FROM post_erased WHERE id = ?1 AND key BETWEEN ?2 AND ?3 AND member = ?4 AND status <> 1";
        again |= sql::exists(tx, erased, named)?;
    }
    let status = match (allowed, again) {
        (true, false) => SHOWN,
        (true, true) => REPEATED,
        (false, _) => REFUSED,
    };
    let own = author.member == room.own;
    let mentions_own = !own && post.mentions.contains(&room.own);
    let mentions: Option<Vec<u8>> =
        (!post.mentions.is_empty()).then(|| post.mentions.iter().flat_map(|member| *member.as_bytes()).collect());
    let flag = |is: bool, flag: i64| if is { flag } else { 0 };
    let flags = flag(own, OWN) | flag(mentions_own, MENTIONS_OWN) | flag(author.is_admin, BY_ADMIN);
    let insert =
        "INSERT OR IGNORE INTO post (key, status, flags, sent_at, id, member, reply_to, device, session, mentions, text)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let inserted = batch.insert.get(tx, insert)?.execute(params![
        key,
        status,
        flags,
        post.sent_at.0 as i64,
        post.id.as_bytes(),
        author.member.as_bytes(),
        post.reply_to.as_ref().map(MessageId::as_bytes),
        author.device.as_bytes(),
        post.session,
        mentions,
        post.text
    ])?;
    if inserted == 0 {
        return Ok(());
    }
    batch.insert_new.get(tx, "INSERT INTO post_new (key) VALUES (?1)")?.execute([key])?;
    if status != SHOWN {
        ignore(tx, room.n, 1)?;
        return choose_first(tx, room, &author.member, &post.id);
    }
    if !own {
        batch.count(key, mentions_own);
        if room.tells && batch.is_inside(room, key)? {
            event::post(batch, room, key)?;
        }
        return tell(tx, room, key, flags, &post.id, post.reply_to.is_some());
    }
    // An answer that came before what it answers is rare.
    let answered = "SELECT 1 FROM post WHERE reply_to = ?1";
    if batch.replies.get(tx, answered)?.exists([post.id.as_bytes()])? {
        notification::renew_replies(tx, room, &post.id)?;
    }
    Ok(())
}

/// A post is shown, or is not any more: notifications follow.
fn tell(tx: &Connection, room: &Room, key: i64, flags: i64, id: &MessageId, is_reply: bool) -> rusqlite::Result<()> {
    match flags & (OWN | MENTIONS_OWN) {
        OWN => notification::renew_replies(tx, room, id),
        0 if !is_reply => Ok(()),
        _ => notification::renew(tx, room, key),
    }
}

/// Gives a post another status, with all that follows.
fn set_status(tx: &Connection, room: &Room, key: i64, status: i64) -> rusqlite::Result<()> {
    let found =
        sql::first(tx, "SELECT status, flags, id, reply_to IS NOT NULL FROM post WHERE key = ?1", [key], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, sql::message(row, 2)?, row.get::<_, bool>(3)?))
        })?;
    let Some((before, flags, id, is_reply)) = found else { return Ok(()) };
    sql::run(tx, "UPDATE post SET status = ?2 WHERE key = ?1", [key, status])?;
    let change = i64::from(status == SHOWN) - i64::from(before == SHOWN);
    if change == 0 {
        return Ok(());
    }
    ignore(tx, room.n, -change)?;
    if flags & OWN == 0 {
        let mentions = if flags & MENTIONS_OWN != 0 { change } else { 0 };
        unread::add(tx, unread::chunk(key), change, mentions)?;
    }
    tell(tx, room, key, flags, &id, is_reply)
}

/// Erases a post that is past its time.
pub(super) fn erase(tx: &Connection, key: i64) -> rusqlite::Result<()> {
    sql::run(
        tx,
        "INSERT OR IGNORE INTO post_erased (key, status, sent_at, id, member)
         SELECT key, status, sent_at, id, member FROM post WHERE key = ?1",
        [key],
    )?;
    drop_row(tx, key).map(drop)
}

/// Takes a post out of the room, or what is left of an erased one: another of its name may be shown now.
pub(super) fn remove(tx: &Connection, room: &Room, key: i64) -> rusqlite::Result<()> {
    let sql = "SELECT id, member FROM post WHERE key = ?1 UNION SELECT id, member FROM post_erased WHERE key = ?1";
    let named = sql::first(tx, sql, [key], |row| Ok((sql::message(row, 0)?, sql::member(row, 1)?)))?;
    let Some((id, member)) = named else { return Ok(()) };
    let flags = drop_row(tx, key)?;
    sql::run(tx, "DELETE FROM post_erased WHERE key = ?1", [key])?;
    if flags & OWN != 0 {
        notification::renew_replies(tx, room, &id)?;
    }
    choose_first(tx, room, &member, &id)
}

/// Deletes a post with its place in the index, its count and its notification. Its flags.
fn drop_row(tx: &Connection, key: i64) -> rusqlite::Result<i64> {
    let found = sql::first(tx, "SELECT status, flags FROM post WHERE key = ?1", [key], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    })?;
    let Some((status, flags)) = found else { return Ok(0) };
    if status == SHOWN && flags & OWN == 0 {
        unread::add(tx, unread::chunk(key), -1, if flags & MENTIONS_OWN != 0 { -1 } else { 0 })?;
    }
    if sql::run(tx, "DELETE FROM post_new WHERE key = ?1", [key])? == 0 {
        sql::run(
            tx,
            "INSERT INTO post_text (post_text, rowid, text) SELECT 'delete', key, text FROM post WHERE key = ?1",
            [key],
        )?;
    }
    sql::run(tx, "DELETE FROM post WHERE key = ?1", [key])?;
    sql::run(tx, "DELETE FROM notification WHERE key = ?1", [key])?;
    Ok(flags)
}

/// Of the posts with one name that are not refused, the first is shown, or would be if it were not erased.
fn choose_first(tx: &Connection, room: &Room, member: &MemberId, id: &MessageId) -> rusqlite::Result<()> {
    let (low, high) = span(room.n);
    let named = sql::all(
        tx,
        "SELECT key, status, 0 FROM post WHERE id = ?1 AND key BETWEEN ?2 AND ?3 AND member = ?4 AND status <> 1
         UNION ALL SELECT key, status, 1 FROM post_erased
         WHERE id = ?1 AND key BETWEEN ?2 AND ?3 AND member = ?4 AND status <> 1
         ORDER BY key",
        params![id.as_bytes(), low, high, member.as_bytes()],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?)),
    )?;
    for (at, (key, status, erased)) in named.into_iter().enumerate() {
        let wanted = if at == 0 { SHOWN } else { REPEATED };
        if status != wanted && erased {
            sql::run(tx, "UPDATE post_erased SET status = ?2 WHERE key = ?1", [key, wanted])?;
        } else if status != wanted {
            set_status(tx, room, key, wanted)?;
        }
    }
    Ok(())
}

/// Judges all posts of a room by the roles as they are now known.
pub(super) fn judge_again(tx: &Connection, room: &Room) -> rusqlite::Result<()> {
    let (low, high) = span(room.n);
    let mut wrong = Vec::new();
    {
        let mut statement = tx.prepare_cached(
            "SELECT key, status, flags, member, device, id FROM post WHERE key BETWEEN ?1 AND ?2 ORDER BY key",
        )?;
        let mut rows = statement.query([low, high])?;
        while let Some(row) = rows.next()? {
            let (key, status): (i64, i64) = (row.get(0)?, row.get(1)?);
            let is_admin = row.get::<_, i64>(2)? & BY_ADMIN != 0;
            let author = Author { member: sql::member(row, 3)?, device: sql::device(row, 4)?, is_admin };
            let allowed = role::may_write(tx, room, &author, key)?;
            if allowed == (status == REFUSED) {
                wrong.push((key, allowed, author.member, sql::message(row, 5)?));
            }
        }
    }
    for (key, allowed, member, id) in wrong {
        set_status(tx, room, key, if allowed { REPEATED } else { REFUSED })?;
        choose_first(tx, room, &member, &id)?;
    }
    Ok(())
}
