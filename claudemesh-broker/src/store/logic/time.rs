//! What time does: scheduled mail becomes due, mail expires, what is old is forgotten.

use std::collections::BTreeSet;

use claudemesh_core::{DeviceId, MeshId, MessageId, Millis};
use rusqlite::{OptionalExtension, params};

use super::{Logic, MailEntry, Num, Res, SPAN, int, key, position};
use crate::store::types::DAY;
use crate::store::{Elapsed, Folds};

/// Rows handled by one call.
const BATCH: usize = 512;
/// How long message ids are remembered.
const ID_DAYS: u64 = 7;
/// How long a notice waits for its sender.
const NOTICE_AGE: u64 = 30 * DAY;
/// How often what is old is looked for, milliseconds.
const SWEEP_INTERVAL: u64 = 3_600_000;

/// Rows looked at by one step of the sweep.
const SWEEP_STEP: i64 = 4096;

/// How far the sweep for what is old has come. It goes in steps, so that no transaction is held up by a whole table.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// When the last one ended.
    ended: Millis,
    /// The last id looked at, of its sender and attempt.
    ids: Option<(Num, [u8; 16], i64)>,
    /// Key of the last notice looked at.
    notices: Option<i64>,
}

type Names = BTreeSet<(MeshId, DeviceId)>;

impl<F: Folds> Logic<F> {
    pub(in crate::store) fn elapse(&mut self, now: Millis) -> Res<Elapsed> {
        let (mut mail, mut notices) = (Names::new(), Names::new());
        let moved = self.move_due(now, &mut mail)?;
        let expired = self.expire(now, &mut notices)?;
        let sweeping = self.sweep(now)?;
        let due: Option<i64> =
            self.db.prepare_cached("SELECT MIN(due) FROM scheduled")?.query_row([], |row| row.get(0))?;
        let commit = self.commit + u64::from(self.wrote);
        Ok(Elapsed {
            mail: mail.into_iter().collect(),
            notices: notices.into_iter().collect(),
            due: due.map(|at| Millis(at.unsigned_abs())),
            more: moved == BATCH || expired >= BATCH || sweeping,
            commit,
        })
    }

    fn move_due(&mut self, now: Millis, mail: &mut Names) -> Res<usize> {
        let due: Vec<(Num, Num, i64)> = {
            let mut sql = self.db.prepare_cached(
                "SELECT n, recipient, expires FROM scheduled WHERE due <= ?1 ORDER BY due, n LIMIT ?2",
            )?;
            let rows =
                sql.query_map(params![int(now.0)?, BATCH as i64], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<Result<_, _>>()?
        };
        for (n, device, expires) in &due {
            let expires = expires.unsigned_abs();
            let row = self.changed(*device)?;
            row.last_mail += 1;
            row.min_expires = Some(row.min_expires.map_or(expires, |at| at.min(expires)));
            let offset = row.last_mail;
            self.db
                .prepare_cached(
                    "INSERT INTO mail (key, sender, id, attempt, hash, lane, seq, expires, body, record, member_of, envelope)
                     SELECT ?1, sender, id, attempt, hash, lane, seq, expires, body, record, member_of, envelope
                     FROM scheduled WHERE n = ?2",
                )?
                .execute(params![key(*device, offset)?, n])?;
            self.db.prepare_cached("DELETE FROM scheduled WHERE n = ?1")?.execute([n])?;
            self.cache.mailboxes.remove(device);
            mail.insert(self.device_name(*device)?);
        }
        Ok(due.len())
    }

    fn expire(&mut self, now: Millis, notices: &mut Names) -> Res<usize> {
        self.save_changed()?;
        let devices: Vec<Num> = {
            let mut sql = self
                .db
                .prepare_cached("SELECT n FROM devices WHERE min_expires IS NOT NULL AND min_expires <= ?1 LIMIT ?2")?;
            let rows = sql.query_map(params![int(now.0)?, BATCH as i64], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        let mut expired = 0;
        for device in devices {
            expired += self.expire_mailbox(device, now, notices)?;
        }
        Ok(expired)
    }

    fn expire_mailbox(&mut self, device: Num, now: Millis, notices: &mut Names) -> Res<usize> {
        let rows: Vec<(MailEntry, [u8; 32])> = {
            let mut sql = self.db.prepare_cached(
                "SELECT key, sender, id, attempt, lane, seq, body, hash FROM mail
                 WHERE key BETWEEN ?1 AND ?2 AND expires <= ?3 ORDER BY key LIMIT ?4",
            )?;
            let bounds = params![device * SPAN, device * SPAN + SPAN - 1, int(now.0)?, BATCH as i64];
            let rows = sql.query_map(bounds, |row| {
                let entry = MailEntry {
                    offset: position(row.get(0)?),
                    sender: row.get(1)?,
                    id: MessageId::from_bytes(row.get(2)?),
                    attempt: row.get::<_, i64>(3)?.unsigned_abs(),
                    lane: row.get(4)?,
                    seq: row.get::<_, i64>(5)?.unsigned_abs(),
                    body: row.get(6)?,
                };
                Ok((entry, row.get(7)?))
            })?;
            rows.collect::<Result<_, _>>()?
        };
        for (entry, hash) in &rows {
            self.drop_mail(device, &[entry.offset])?;
            self.release_body(entry.body)?;
            if let Some(index) = self.cache.mailboxes.get_mut(&device) {
                index.remove(hash);
            }
            if !self.counters(entry.sender)?.removed {
                self.add_notice(entry.sender, now, Some(device), Some(entry.attempt), entry.id.as_bytes())?;
                notices.insert(self.device_name(entry.sender)?);
            }
        }
        let next: Option<i64> = self
            .db
            .prepare_cached("SELECT MIN(expires) FROM mail WHERE key BETWEEN ?1 AND ?2")?
            .query_row([device * SPAN, device * SPAN + SPAN - 1], |row| row.get(0))
            .optional()?
            .flatten();
        self.changed(device)?.min_expires = next.map(i64::unsigned_abs);
        Ok(rows.len())
    }

    /// Takes the next step of a sweep when it is time for one; whether another is left.
    fn sweep(&mut self, now: Millis) -> Res<bool> {
        let mut sweep = std::mem::take(&mut self.sweep);
        let begins = sweep.ids.is_none() && sweep.notices.is_none();
        if begins && now.since(sweep.ended) < SWEEP_INTERVAL {
            self.sweep = sweep;
            return Ok(false);
        }
        let old = now.0.saturating_sub(NOTICE_AGE) as i64;
        if begins {
            self.cache.held.retain(|_, held| now < held.until);
            let gone = self.db.prepare_cached("DELETE FROM refused WHERE at < ?1")?.execute([old])?;
            self.wrote |= gone > 0;
        }
        if begins || sweep.ids.is_some() {
            sweep.ids = self.sweep_ids(sweep.ids, (now.0 / DAY).saturating_sub(ID_DAYS) as i64)?;
        }
        if begins || sweep.notices.is_some() {
            sweep.notices = self.sweep_notices(sweep.notices.unwrap_or(i64::MIN), old)?;
        }
        let more = sweep.ids.is_some() || sweep.notices.is_some();
        if !more {
            sweep.ended = now;
        }
        self.sweep = sweep;
        Ok(more)
    }

    fn sweep_ids(&mut self, from: Option<(Num, [u8; 16], i64)>, old_day: i64) -> Res<Option<(Num, [u8; 16], i64)>> {
        let from = from.unwrap_or((i64::MIN, [0; 16], 0));
        let to: Option<(Num, [u8; 16], i64)> = self
            .db
            .prepare_cached(
                "SELECT sender, id, attempt FROM ids WHERE (sender, id, attempt) > (?1, ?2, ?3)
                 ORDER BY sender, id, attempt LIMIT 1 OFFSET ?4",
            )?
            .query_row(params![from.0, from.1, from.2, SWEEP_STEP], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let end = to.unwrap_or((i64::MAX, [0xff; 16], i64::MAX));
        let gone = self
            .db
            .prepare_cached(
                "DELETE FROM ids WHERE (sender, id, attempt) > (?1, ?2, ?3) AND (sender, id, attempt) <= (?4, ?5, ?6)
                 AND day < ?7",
            )?
            .execute(params![from.0, from.1, from.2, end.0, end.1, end.2, old_day])?;
        self.wrote |= gone > 0;
        Ok(to)
    }

    fn sweep_notices(&mut self, from: i64, old: i64) -> Res<Option<i64>> {
        let to: Option<i64> = self
            .db
            .prepare_cached("SELECT key FROM notices WHERE key > ?1 ORDER BY key LIMIT 1 OFFSET ?2")?
            .query_row([from, SWEEP_STEP], |row| row.get(0))
            .optional()?;
        let gone = self
            .db
            .prepare_cached("DELETE FROM notices WHERE key > ?1 AND key <= ?2 AND at < ?3")?
            .execute([from, to.unwrap_or(i64::MAX), old])?;
        self.wrote |= gone > 0;
        Ok(to)
    }
}
