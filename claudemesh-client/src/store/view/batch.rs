//! What is remembered from post to post of entries that come together, so that most cost no read.

use std::collections::{BTreeMap, HashMap};

use claudemesh_core::MemberId;
use rusqlite::Connection;

use super::role::{self, Verdict};
use super::{Author, Room, Scope, unread};

#[derive(Debug, Default)]
pub(super) struct Batch {
    verdicts: HashMap<(i64, MemberId, bool), Verdict>,
    inside: HashMap<i64, Verdict>,
    counts: BTreeMap<i64, (i64, i64)>,
}

impl Batch {
    /// Whether the author may write at `key`.
    pub(super) fn may_write(
        &mut self,
        tx: &Connection,
        room: &Room,
        author: &Author,
        key: i64,
    ) -> rusqlite::Result<bool> {
        let name = (room.n, author.member, author.is_admin);
        let verdict = match self.verdicts.get(&name).map(|verdict| verdict.at(key)) {
            Some(Some(may_write)) => return Ok(may_write),
            Some(None) => role::verdict(tx, room, author, key)?,
            // How long it holds is asked when the author comes again.
            None => Verdict::once(role::may_write(tx, room, author, key)?, key),
        };
        self.verdicts.insert(name, verdict);
        Ok(verdict.holds)
    }

    /// Whether the own member is in the topic at `key`.
    pub(super) fn is_inside(&mut self, tx: &Connection, room: &Room, key: i64) -> rusqlite::Result<bool> {
        if room.scope != Scope::Topic {
            return Ok(true);
        }
        if let Some(inside) = self.inside.get(&room.n).and_then(|verdict| verdict.at(key)) {
            return Ok(inside);
        }
        let verdict = role::inside(tx, room, key)?;
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
    pub(super) fn flush(self, tx: &Connection) -> rusqlite::Result<()> {
        self.counts.into_iter().try_for_each(|(chunk, (posts, mentions))| unread::add(tx, chunk, posts, mentions))
    }
}
