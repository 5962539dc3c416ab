//! Compaction: which entries of a room nobody needs any more, and what becomes of a room whose entries were dropped.
//!
//! A record is *spent* when the room comes out the same without it, now and whatever is written later: it was refused; a later
//! value or deletion of the key took effect without a condition; a later word on the same thread, group membership or
//! retention stands; the memory was forgotten; the post is past its time. A key whose last value has expired is spent as a
//! whole. An entry may go when all its records are spent. After a compaction the room is what its other records make of it,
//! so that who has folded the dropped ones and who never saw them come to the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use claudemesh_core::log::MAX_COMPACTED;
use claudemesh_core::record::{GroupMember, RoomRecord, StateDeleted, StateSet, ThreadResolved, TopicRetention};
use claudemesh_core::{MemberId, MessageId};
use rusqlite::{Connection, OptionalExtension, params};

use super::{INDEX_BITS, LAST_INDEX, LAST_OFFSET, Room, key as key_of, memory, post, rebuild, retention, span, sql};

/// Rows looked at in one go.
const PAGE: u32 = 4096;
/// What has expired is left alone for so long, milliseconds: clocks differ.
const GRACE: u64 = 24 * 3600 * 1000;
/// Entries, and keys, that one plan considers.
const MOST: usize = 16_384;
/// Keys that may keep one another are sorted out in so many rounds.
const ROUNDS: usize = 16;

/// One key of the state, as far as it was seen.
#[derive(Debug, Default)]
struct Key {
    /// The records that make its value: the last without a condition, and those after it. What was before is spent.
    chain: Vec<i64>,
    /// When the last of the chain's values expires; none when one never does, 0 before the first.
    expires: Option<u64>,
    /// Everything that names the key, refused records too.
    all: Vec<i64>,
}

/// A walk over the records of a room, a page at a time.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    after: Option<i64>,
    /// How many records of an entry are spent.
    spent: BTreeMap<u64, u64>,
    keys: HashMap<String, Key>,
    threads: HashMap<MessageId, i64>,
    groups: HashMap<(String, MemberId), i64>,
    retention: Option<i64>,
}

const fn offset(key: i64) -> u64 {
    (key as u64 >> INDEX_BITS) & LAST_OFFSET
}

impl Survey {
    fn spend(&mut self, key: i64) {
        *self.spent.entry(offset(key)).or_default() += 1;
    }

    fn spend_all(&mut self, keys: impl IntoIterator<Item = i64>) {
        keys.into_iter().for_each(|key| self.spend(key));
    }

    /// Looks at the next page; true when there may be another.
    pub(crate) fn page(&mut self, db: &Connection, room: i64) -> rusqlite::Result<bool> {
        let (low, high) = span(room);
        let kinds = [StateSet::KIND, StateDeleted::KIND, ThreadResolved::KIND, GroupMember::KIND, TopicRetention::KIND];
        let [a, b, c, d, e] = kinds.map(|kind| kind as i64);
        let mut sql = db.prepare_cached(
            "SELECT key, EXISTS (SELECT 1 FROM room_refused AS refused WHERE refused.key = record.key),
                    kind, admin, member, device, data
             FROM room_record AS record
             WHERE key > ?1 AND key <= ?2 AND (kind IN (?3, ?4, ?5, ?6, ?7)
                OR EXISTS (SELECT 1 FROM room_refused AS refused WHERE refused.key = record.key))
             ORDER BY key LIMIT ?8",
        )?;
        let mut rows = sql.query(params![self.after.unwrap_or(low - 1), high, a, b, c, d, e, PAGE])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            let key = row.get(0)?;
            self.after = Some(key);
            if let (_, Some(record)) = super::kept(row, 2)? {
                self.take(key, row.get(1)?, &record);
            }
        }
        Ok(count == PAGE)
    }

    fn take(&mut self, key: i64, refused: bool, record: &RoomRecord) {
        let state = match record {
            RoomRecord::StateSet(it) => Some((&it.key, it.expected, Some(it.expires))),
            RoomRecord::StateDeleted(it) => Some((&it.key, it.expected, None)),
            _ => None,
        };
        if let Some((name, expected, value)) = state {
            let known = self.keys.entry(name.as_str().to_owned()).or_default();
            known.all.push(key);
            let mut before = Vec::new();
            if !refused {
                if expected.is_none() {
                    before = std::mem::take(&mut known.chain);
                    known.expires = Some(0);
                } else if known.chain.is_empty() {
                    known.expires = Some(0);
                }
                known.chain.push(key);
                if let Some(expires) = value {
                    known.expires = expires.and_then(|at| known.expires.map(|last| last.max(at.0)));
                }
            }
            self.spend_all(before);
        }
        if refused {
            return self.spend(key);
        }
        let before = match record {
            RoomRecord::ThreadResolved(it) => self.threads.insert(it.id, key),
            RoomRecord::GroupMember(it) => self.groups.insert((it.path.as_str().to_owned(), it.member), key),
            RoomRecord::TopicRetention(_) => self.retention.replace(key),
            _ => None,
        };
        self.spend_all(before);
    }

    /// The offsets to drop at `now`, in milliseconds, in order: as many as one compaction takes.
    pub(crate) fn plan(mut self, db: &Connection, room: i64, now: u64) -> rusqlite::Result<Vec<u64>> {
        self.spend_texts(db, room, now)?;
        while self.spent.len() > MOST {
            self.spent.pop_last();
        }
        let over = |key: &&Key| key.expires.is_some_and(|at| at > 0 && at.saturating_add(GRACE) < now);
        let whole: Vec<&Key> = self.keys.values().filter(over).take(MOST).collect();
        let of_keys = whole.iter().flat_map(|key| &key.all).map(|key| offset(*key));
        let offsets: BTreeSet<u64> = self.spent.keys().copied().chain(of_keys).collect();
        let sizes = Sizes::read(db, room, offsets)?;
        let mut gone = self.with_keys(&sizes, whole);
        if gone.len() > MAX_COMPACTED {
            // A key goes as a whole or not at all, so not in parts of two compactions.
            gone = sizes.droppable(&self.spent);
        }
        while gone.len() > MAX_COMPACTED {
            gone.pop_last();
        }
        Ok(gone.into_iter().collect())
    }

    /// Posts and memories.
    fn spend_texts(&mut self, db: &Connection, room: i64, now: u64) -> rusqlite::Result<()> {
        let (low, high) = span(room);
        let horizon =
            retention::of(db, room)?.map_or(i64::MIN, |seconds| retention::horizon(seconds, now.saturating_sub(GRACE)));
        for sql in [
            "SELECT key FROM post WHERE key BETWEEN ?1 AND ?2 AND (status <> 0 OR sent_at < ?3)",
            "SELECT key FROM post_erased WHERE key BETWEEN ?1 AND ?2 AND (status <> 0 OR sent_at < ?3)",
            "SELECT key FROM memory WHERE key BETWEEN ?1 AND ?2 AND erased = 1 AND ?3 = ?3",
        ] {
            let spent: Vec<i64> = sql::all(db, sql, params![low, high, horizon], |row| row.get(0))?;
            self.spend_all(spent);
        }
        Ok(())
    }

    /// What can be dropped when some keys go as a whole.
    fn with_keys(&self, sizes: &Sizes, mut whole: Vec<&Key>) -> BTreeSet<u64> {
        for _ in 0..ROUNDS {
            let mut spent = self.spent.clone();
            for key in whole.iter().flat_map(|key| &key.chain) {
                *spent.entry(offset(*key)).or_default() += 1;
            }
            let gone = sizes.droppable(&spent);
            let before = whole.len();
            whole.retain(|key| key.all.iter().all(|key| gone.contains(&offset(*key))));
            if whole.len() == before {
                return gone;
            }
        }
        sizes.droppable(&self.spent)
    }
}

/// How many records entries have; those that stay are left out.
struct Sizes(BTreeMap<u64, u64>);

impl Sizes {
    fn read(db: &Connection, room: i64, offsets: BTreeSet<u64>) -> rusqlite::Result<Self> {
        let mut sql = db.prepare_cached(
            "SELECT (SELECT COUNT(*) FROM room_record WHERE key BETWEEN ?1 AND ?2)
                  + (SELECT COUNT(*) FROM post WHERE key BETWEEN ?1 AND ?2)
                  + (SELECT COUNT(*) FROM post_erased WHERE key BETWEEN ?1 AND ?2)
                  + (SELECT COUNT(*) FROM memory WHERE key BETWEEN ?1 AND ?2)
             WHERE NOT EXISTS (SELECT 1 FROM room_stays WHERE key = ?1)",
        )?;
        let mut sizes = BTreeMap::new();
        for offset in offsets {
            let range = [key_of(room, (offset, 0)), key_of(room, (offset, LAST_INDEX))];
            let size = sql.query_row(range, |row| row.get::<_, i64>(0)).optional()?;
            sizes.extend(size.map(|size| (offset, size.unsigned_abs())));
        }
        Ok(Self(sizes))
    }

    /// The entries whose records are all spent.
    fn droppable(&self, spent: &BTreeMap<u64, u64>) -> BTreeSet<u64> {
        spent.iter().filter(|(offset, spent)| self.0.get(offset) == Some(spent)).map(|(offset, _)| *offset).collect()
    }
}

/// Entries of a room were dropped: what was read of them goes.
pub(crate) fn apply(tx: &Connection, room: &Room, offsets: &[u64]) -> rusqlite::Result<()> {
    let mut counted = false;
    for &offset in offsets {
        let range = [key_of(room.n, (offset, 0)), key_of(room.n, (offset, LAST_INDEX))];
        let posts = "SELECT key FROM post WHERE key BETWEEN ?1 AND ?2
                     UNION SELECT key FROM post_erased WHERE key BETWEEN ?1 AND ?2";
        let posts: Vec<i64> = sql::all(tx, posts, range, |row| row.get(0))?;
        posts.into_iter().try_for_each(|key| post::remove(tx, room, key))?;
        let memories: Vec<i64> =
            sql::all(tx, "SELECT key FROM memory WHERE key BETWEEN ?1 AND ?2", range, |row| row.get(0))?;
        memories.into_iter().try_for_each(|key| memory::remove(tx, key))?;
        let records = sql::run(tx, "DELETE FROM room_record WHERE key BETWEEN ?1 AND ?2", range)?;
        if records == 0 {
            continue;
        }
        let refused = sql::run(tx, "DELETE FROM room_refused WHERE key BETWEEN ?1 AND ?2", range)?;
        sql::run(tx, "DELETE FROM notification WHERE key BETWEEN ?1 AND ?2", range)?;
        counted |= refused < records;
    }
    if counted { rebuild::rebuild(tx, room) } else { Ok(()) }
}
