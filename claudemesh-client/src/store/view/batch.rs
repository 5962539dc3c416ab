//! What is remembered from post to post of entries that come together, so that most cost no read.

use std::collections::{BTreeMap, HashMap};

use claudemesh_core::MemberId;
use rusqlite::Connection;

use super::role::{self, Verdict};
use super::sql::{self, Held};
use super::{Author, Room, Scope, span, unread};

pub(super) struct Batch<'tx> {
    pub(super) tx: &'tx Connection,
    verdicts: HashMap<(i64, MemberId, bool), Verdict>,
    inside: HashMap<i64, Verdict>,
    /// Whether posts of a room were erased.
    erased: HashMap<i64, bool>,
    counts: BTreeMap<i64, (i64, i64)>,
    pub(super) again: Held<'tx>,
    pub(super) insert: Held<'tx>,
    pub(super) insert_new: Held<'tx>,
    pub(super) replies: Held<'tx>,
    pub(super) event: Held<'tx>,
}

impl<'tx> Batch<'tx> {
    pub(super) fn new(tx: &'tx Connection) -> Self {
        Self {
            tx,
            verdicts: HashMap::new(),
            inside: HashMap::new(),
            erased: HashMap::new(),
            counts: BTreeMap::new(),
            again: Held::default(),
            insert: Held::default(),
            insert_new: Held::default(),
            replies: Held::default(),
            event: Held::default(),
        }
    }

    /// Whether posts of a room were erased.
    pub(super) fn has_erased(&mut self, room: i64) -> rusqlite::Result<bool> {
        if let Some(erased) = self.erased.get(&room) {
            return Ok(*erased);
        }
        let (low, high) = span(room);
        let erased = sql::exists(self.tx, "SELECT 1 FROM post_erased WHERE key BETWEEN ?1 AND ?2", [low, high])?;
        self.erased.insert(room, erased);
        Ok(erased)
    }

    /// Whether the author may write at `key`.
    pub(super) fn may_write(&mut self, room: &Room, author: &Author, key: i64) -> rusqlite::Result<bool> {
        let name = (room.n, author.member, author.is_admin);
        let verdict = match self.verdicts.get(&name).map(|verdict| verdict.at(key)) {
            Some(Some(may_write)) => return Ok(may_write),
            Some(None) => role::verdict(self.tx, room, author, key)?,
            // How long it holds is asked when the author comes again.
            None => Verdict::once(role::may_write(self.tx, room, author, key)?, key),
        };
        self.verdicts.insert(name, verdict);
        Ok(verdict.holds)
    }

    /// Whether the own member is in the topic at `key`.
    pub(super) fn is_inside(&mut self, room: &Room, key: i64) -> rusqlite::Result<bool> {
        if room.scope != Scope::Topic {
            return Ok(true);
        }
        if let Some(inside) = self.inside.get(&room.n).and_then(|verdict| verdict.at(key)) {
            return Ok(inside);
        }
        let verdict = role::inside(self.tx, room, key)?;
        self.inside.insert(room.n, verdict);
        Ok(verdict.holds)
    }

    /// Roles of a room may have changed.
    pub(super) fn forget_verdicts(&mut self, room: i64) {
        self.verdicts.retain(|(of, ..), _| *of != room);
        self.inside.remove(&room);
    }

    /// A post of somebody else is shown.
    pub(super) fn count(&mut self, key: i64, mentions_own: bool) {
        let (posts, mentions) = self.counts.entry(unread::chunk(key)).or_default();
        *posts += 1;
        *mentions += i64::from(mentions_own);
    }

    /// Stores the counts.
    pub(super) fn flush(self) -> rusqlite::Result<()> {
        self.counts.into_iter().try_for_each(|(chunk, (posts, mentions))| unread::add(self.tx, chunk, posts, mentions))
    }
}
