//! Envelopes into mailboxes and out of them.

use std::collections::{HashMap, HashSet};

use claudemesh_core::codec::Bytes;
use claudemesh_core::hash::Hash;
use claudemesh_core::runs::InsertError;
use claudemesh_core::{DeviceId, MeshId, MessageId, Millis};
use rusqlite::{OptionalExtension, Statement, ToSql, params, params_from_iter};

use super::{Fill, Held, Lane, Logic, MailEntry, Num, Res, SPAN, int, key, position};
use crate::store::types::DAY;
use crate::store::{
    Delivery, Enqueue, Enqueued, Folds, NewMail, Outcome, Page, Recipient, Refusal, RosterFold, StoreError,
};

/// How long a lane waits for a refused message before what comes after it is taken, milliseconds.
const HOLD: u64 = 60_000;

/// What an envelope's recipients have in common.
struct Common {
    mesh: Num,
    sender: Num,
    /// The hash under which this id and attempt came before.
    known: Option<Hash>,
    closed: bool,
    /// Whether the sender's roster head is on this chain.
    connects: bool,
    body: Option<Num>,
}

/// Rows of a batch that are not in the tables yet.
#[derive(Default)]
struct Rows<'a> {
    mail: Vec<(i64, MailCopy<'a>)>,
    /// Envelopes whose id is new, with their senders.
    ids: Vec<(Num, &'a Enqueue)>,
}

/// An envelope's copy for one recipient.
struct MailCopy<'a> {
    sender: Num,
    body: Option<Num>,
    envelope: &'a Enqueue,
    to: &'a Recipient,
}

impl MailCopy<'_> {
    /// Runs an insertion: first where the copy goes, then the columns that both tables have.
    fn insert(&self, sql: &mut Statement<'_>, place: &[i64]) -> Res<()> {
        let Self { sender, body, envelope, to } = self;
        let (id, hash) = (envelope.id.as_bytes(), &envelope.hash);
        let (attempt, seq, expires) = (int(envelope.attempt)?, int(to.seq)?, int(envelope.expires.0)?);
        let (record, member_of) = (&to.record.0, &to.member_of.0);
        let inline = body.is_none().then_some(&envelope.envelope.0);
        let columns: [&dyn ToSql; 11] =
            [sender, id, &attempt, hash, &to.lane, &seq, &expires, body, record, member_of, &inline];
        sql.execute(params_from_iter(place.iter().map(|at| at as &dyn ToSql).chain(columns)))?;
        Ok(())
    }
}

impl<F: Folds> Logic<F> {
    pub(in crate::store) fn enqueue(&mut self, batch: Vec<Enqueue>, now: Millis) -> Res<Enqueued> {
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut mail = Vec::with_capacity(batch.len());
        let mut due: Option<Millis> = None;
        let mut rows = Rows::default();
        for (at, envelope) in batch.iter().enumerate() {
            let list = self.enqueue_one(at, envelope, now, &mut mail, &mut rows)?;
            if list.contains(&Outcome::Accepted) {
                due = scheduled(envelope, now).map(|at| due.map_or(at, |due| due.min(at))).or(due);
            }
            outcomes.push(list);
        }
        self.write_rows(&mut rows, now)?;
        let accepted = outcomes.iter().flatten().any(|outcome| *outcome == Outcome::Accepted);
        let commit = if accepted { self.next_commit() } else { self.commit + u64::from(self.wrote) };
        Ok(Enqueued { outcomes, mail, due, commit })
    }

    fn enqueue_one<'a>(
        &mut self,
        at: usize,
        envelope: &'a Enqueue,
        now: Millis,
        mail: &mut Vec<NewMail>,
        rows: &mut Rows<'a>,
    ) -> Res<Vec<Outcome>> {
        let mut common = match self.common(envelope, now, rows) {
            Ok(common) => common,
            Err(StoreError::Refused(refusal)) => {
                return Ok(vec![Outcome::Refused(refusal); envelope.recipients.len()]);
            }
            Err(error) => return Err(error),
        };
        let mut list = Vec::with_capacity(envelope.recipients.len());
        let mut named = HashSet::new();
        let mut accepted = 0_i64;
        for recipient in &envelope.recipients {
            let repeated = envelope.recipients.len() > 1 && !named.insert(recipient.device);
            let judged =
                if repeated { Err(Refusal::Malformed.into()) } else { self.judge(envelope, recipient, &common, now) };
            list.push(match judged {
                Ok(None) => Outcome::Duplicate,
                Ok(Some(device)) => {
                    let offset = self.accept(envelope, recipient, device, &mut common, now, rows)?;
                    let placed =
                        |offset| NewMail { mesh: envelope.mesh, device: recipient.device, envelope: at, offset };
                    mail.extend(offset.map(placed));
                    accepted += 1;
                    Outcome::Accepted
                }
                Err(StoreError::Refused(refusal)) => Outcome::Refused(refusal),
                Err(error) => return Err(error),
            });
        }
        if let Some(body) = common.body {
            self.db
                .prepare_cached("INSERT INTO body_refs (n, refs) VALUES (?1, ?2)")?
                .execute(params![body, accepted])?;
        }
        if accepted > 0 {
            self.remember(envelope, &common, rows);
        }
        Ok(list)
    }

    /// Writes the rows of a batch, each kind with one statement.
    fn write_rows(&mut self, rows: &mut Rows<'_>, now: Millis) -> Res<()> {
        if !rows.mail.is_empty() {
            let mut sql = self.db.prepare_cached(
                "INSERT INTO mail (key, sender, id, attempt, hash, lane, seq, expires, body, record, member_of, envelope)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?;
            for (key, copy) in rows.mail.drain(..) {
                copy.insert(&mut sql, &[key])?;
            }
        }
        if !rows.ids.is_empty() {
            let mut sql = self
                .db
                .prepare_cached("INSERT INTO ids (sender, id, attempt, hash, day) VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for (sender, envelope) in rows.ids.drain(..) {
                let (id, attempt) = (envelope.id.as_bytes(), int(envelope.attempt)?);
                sql.execute(params![sender, id, attempt, envelope.hash, (now.0 / DAY) as i64])?;
            }
        }
        Ok(())
    }

    /// Remembers the id of an accepted envelope, and the envelope as its sender's last.
    fn remember<'a>(&mut self, envelope: &'a Enqueue, common: &Common, rows: &mut Rows<'a>) {
        self.cache.changed.proofs.entry(common.sender).or_default().0.clone_from(&envelope.proof.0);
        if common.known.is_some() {
            return;
        }
        rows.ids.push((common.sender, envelope));
        if let Some(last) = self.cache.last_ids.get_mut(&common.sender) {
            *last = envelope.id.max(*last);
        }
    }

    fn common(&mut self, envelope: &Enqueue, now: Millis, rows: &mut Rows<'_>) -> Res<Common> {
        let mesh = self.mesh(&envelope.mesh)?;
        let roster = self.roster(&envelope.mesh)?;
        if !roster.is_live(&envelope.sender) {
            // Its runs are gone, so nothing is known to be a duplicate.
            return Err(Refusal::SenderRemoved.into());
        }
        let closed = roster.is_closed();
        let connects = roster.hash_at(envelope.head.index) == Some(envelope.head.hash.0);
        if envelope.attempt == 0 {
            return Err(Refusal::Malformed.into());
        }
        let attempt = int(envelope.attempt)?;
        let sender = self.device(mesh, &envelope.sender)?;
        let known = if envelope.id > self.last_id(sender)? {
            None
        } else {
            // It may be one of this very batch.
            self.write_rows(rows, now)?;
            self.db
                .prepare_cached("SELECT hash FROM ids WHERE sender = ?1 AND id = ?2 AND attempt = ?3")?
                .query_row(params![sender, envelope.id.as_bytes(), attempt], |row| row.get::<_, Hash>(0))
                .optional()?
        };
        Ok(Common { mesh, sender, known, closed, connects, body: None })
    }

    /// Ids above this one are new for sure, which spares the search for them.
    fn last_id(&mut self, sender: Num) -> Res<MessageId> {
        if let Some(id) = self.cache.last_ids.get(&sender) {
            return Ok(*id);
        }
        let last: Option<[u8; 16]> = self
            .db
            .prepare_cached("SELECT MAX(id) FROM ids WHERE sender = ?1")?
            .query_row([sender], |row| row.get(0))?;
        let id = MessageId::from_bytes(last.unwrap_or_default());
        self.cache.last_ids.insert(sender, id);
        Ok(id)
    }

    /// The checks of one recipient, in the protocol's order; none for a duplicate. The seq of one that passes is taken.
    fn judge(&mut self, envelope: &Enqueue, to: &Recipient, common: &Common, now: Millis) -> Res<Option<Num>> {
        if common.known.is_some_and(|known| known != envelope.hash) {
            return Err(Refusal::IdConflict.into());
        }
        int(to.seq)?;
        if !self.roster(&envelope.mesh)?.is_live(&to.device) {
            // A removed recipient's runs are gone; the refusal is the same as for a stranger.
            let refusal = if common.closed { Refusal::MeshClosed } else { Refusal::UnknownRecipient };
            return Err(refusal.into());
        }
        let device = self.device(common.mesh, &to.device)?;
        let lane = (common.sender, device, to.lane);
        let taken = self.runs(lane)?.contains(to.seq);
        if taken && !self.ended_refused(envelope, to, lane)? {
            return Ok(None);
        }
        if let Some(refusal) = self.refusal(envelope, to, common, device, now)? {
            match refusal {
                Refusal::UnknownHead | Refusal::NoPrekey | Refusal::MailboxFull => self.hold(lane, to.seq, now),
                // It will not come again.
                _ if self.cache.held.get(&lane).is_some_and(|held| held.seq == to.seq) => {
                    self.cache.held.remove(&lane);
                }
                _ => {}
            }
            return Err(refusal.into());
        }
        self.runs(lane)?.insert(to.seq).map_err(|error| match error {
            InsertError::TooManyRuns => Refusal::TooLarge,
            _ => Refusal::Malformed,
        })?;
        if taken {
            self.db
                .prepare_cached("DELETE FROM refused WHERE sender = ?1 AND recipient = ?2 AND id = ?3")?
                .execute(params![common.sender, device, envelope.id.as_bytes()])?;
        } else {
            self.cache.changed.runs.insert(lane);
        }
        Ok(Some(device))
    }

    /// Why a copy that is no duplicate cannot be stored.
    fn refusal(
        &mut self,
        envelope: &Enqueue,
        to: &Recipient,
        common: &Common,
        device: Num,
        now: Millis,
    ) -> Res<Option<Refusal>> {
        let lane = (common.sender, device, to.lane);
        let waits = |held: &Held| held.seq < to.seq && now < held.until;
        Ok(if common.closed {
            Some(Refusal::MeshClosed)
        } else if !common.connects {
            Some(Refusal::UnknownHead)
        } else if !self.prekeys(device)?.iter().any(|(id, until)| *id == to.prekey && *until > now.0) {
            Some(Refusal::NoPrekey)
        } else if envelope.envelope.len() > self.limits.max_envelope {
            Some(Refusal::TooLarge)
        } else if self.cache.held.get(&lane).is_some_and(waits)
            || self.counters(device)?.mail_rows >= self.limits.mailbox_rows
        {
            Some(Refusal::MailboxFull)
        } else if envelope.expires.since(now) > self.limits.max_ttl {
            Some(Refusal::TtlTooLong)
        } else if envelope.expires <= now {
            Some(Refusal::Expired)
        } else {
            None
        })
    }

    /// Whether the recipient refused a lower attempt of this message.
    fn ended_refused(&self, envelope: &Enqueue, to: &Recipient, lane: Lane) -> Res<bool> {
        Ok(self
            .db
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM refused WHERE sender = ?1 AND recipient = ?2 AND id = ?3
                                AND lane = ?4 AND seq = ?5 AND attempt < ?6)",
            )?
            .query_row(
                params![lane.0, lane.1, envelope.id.as_bytes(), lane.2, int(to.seq)?, int(envelope.attempt)?],
                |row| row.get(0),
            )?)
    }

    /// Makes the lane wait for a message that was refused and will come again, so that pipelined ones do not pass it.
    fn hold(&mut self, lane: Lane, seq: u64, now: Millis) {
        let held = self.cache.held.entry(lane).or_insert(Held { seq, until: now.plus(HOLD) });
        if seq <= held.seq || now >= held.until {
            *held = Held { seq, until: now.plus(HOLD) };
        }
    }

    /// Stores a copy; its offset, unless it waits for its time.
    fn accept<'a>(
        &mut self,
        envelope: &'a Enqueue,
        to: &'a Recipient,
        device: Num,
        common: &mut Common,
        now: Millis,
        rows: &mut Rows<'a>,
    ) -> Res<Option<u64>> {
        let lane = (common.sender, device, to.lane);
        if self.cache.held.get(&lane).is_some_and(|held| to.seq >= held.seq || now >= held.until) {
            self.cache.held.remove(&lane);
        }
        let shared = envelope.recipients.len() > 1;
        if shared && common.body.is_none() {
            self.db.prepare_cached("INSERT INTO bodies (envelope) VALUES (?1)")?.execute([&envelope.envelope.0])?;
            common.body = Some(self.db.last_insert_rowid());
        }
        let copy = MailCopy { sender: common.sender, body: common.body, envelope, to };
        let row = self.changed(device)?;
        row.mail_rows += 1;
        if let Some(at) = scheduled(envelope, now) {
            let mut sql = self.db.prepare_cached(
                "INSERT INTO scheduled (recipient, due, sender, id, attempt, hash, lane, seq, expires, body, record, member_of, envelope)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?;
            copy.insert(&mut sql, &[device, int(at.0)?])?;
            return Ok(None);
        }
        row.last_mail += 1;
        row.min_expires = Some(row.min_expires.map_or(envelope.expires.0, |at| at.min(envelope.expires.0)));
        let offset = row.last_mail;
        rows.mail.push((key(device, offset)?, copy));
        let entry = MailEntry {
            offset,
            sender: common.sender,
            id: envelope.id,
            attempt: envelope.attempt,
            lane: to.lane,
            seq: to.seq,
            body: common.body,
        };
        if let Some(index) = self.cache.mailboxes.get_mut(&device) {
            index.insert(envelope.hash, entry);
        }
        Ok(Some(offset))
    }

    pub(super) fn release_body(&mut self, body: Option<Num>) -> Res<()> {
        let Some(body) = body else { return Ok(()) };
        let refs: Option<i64> = self
            .db
            .prepare_cached("UPDATE body_refs SET refs = refs - 1 WHERE n = ?1 RETURNING refs")?
            .query_row([body], |row| row.get(0))
            .optional()?;
        if refs.is_some_and(|refs| refs <= 0) {
            self.db.prepare_cached("DELETE FROM body_refs WHERE n = ?1")?.execute([body])?;
            self.db.prepare_cached("DELETE FROM bodies WHERE n = ?1")?.execute([body])?;
        }
        Ok(())
    }

    /// Gives back the shared bodies of everything that waits for a device.
    pub(super) fn release_bodies(&mut self, device: Num) -> Res<()> {
        let mut bodies: Vec<Num> = Vec::new();
        {
            let mut sql = self.db.prepare_cached(
                "SELECT body FROM mail WHERE key BETWEEN ?1 AND ?2 AND body IS NOT NULL
                 UNION ALL SELECT body FROM scheduled WHERE recipient = ?3 AND body IS NOT NULL",
            )?;
            let rows = sql.query_map(params![device * SPAN, device * SPAN + SPAN - 1, device], |row| row.get(0))?;
            for body in rows {
                bodies.push(body?);
            }
        }
        bodies.into_iter().try_for_each(|body| self.release_body(Some(body)))
    }

    /// The mailbox of a device by envelope hash.
    pub(super) fn index(&mut self, device: Num) -> Res<&mut HashMap<Hash, MailEntry>> {
        if !self.cache.mailboxes.contains_key(&device) {
            let mut index = HashMap::new();
            let mut sql = self.db.prepare_cached(
                "SELECT key, hash, sender, id, attempt, lane, seq, body FROM mail WHERE key BETWEEN ?1 AND ?2",
            )?;
            let mut rows = sql.query(params![device * SPAN, device * SPAN + SPAN - 1])?;
            while let Some(row) = rows.next()? {
                let entry = MailEntry {
                    offset: position(row.get(0)?),
                    sender: row.get(2)?,
                    id: MessageId::from_bytes(row.get(3)?),
                    attempt: row.get::<_, i64>(4)?.unsigned_abs(),
                    lane: row.get(5)?,
                    seq: row.get::<_, i64>(6)?.unsigned_abs(),
                    body: row.get(7)?,
                };
                index.insert(row.get::<_, Hash>(1)?, entry);
            }
            drop(rows);
            drop(sql);
            self.cache.mailboxes.insert(device, index);
        }
        Ok(self.cache.mailboxes.entry(device).or_default())
    }

    pub(in crate::store) fn mailbox(
        &mut self,
        mesh: &MeshId,
        device: &DeviceId,
        after: u64,
        page: Page,
        now: Millis,
    ) -> Res<Vec<Delivery>> {
        let Some(mesh) = self.load_mesh(mesh)? else { return Ok(Vec::new()) };
        let Some(device) = self.find_device(mesh, device)? else { return Ok(Vec::new()) };
        let mut fill = Fill::new(page);
        let mut list = Vec::new();
        let mut sql = self.db.prepare_cached(
            "SELECT mail.key, mail.hash, COALESCE(mail.envelope, bodies.envelope), mail.record, mail.member_of
             FROM mail LEFT JOIN bodies ON bodies.n = mail.body
             WHERE mail.key > ?1 AND mail.key <= ?2 AND mail.expires > ?3 ORDER BY mail.key LIMIT ?4",
        )?;
        let limit = i64::try_from(page.items).unwrap_or(i64::MAX);
        let mut rows = sql.query(params![key(device, after)?, device * SPAN + SPAN - 1, int(now.0)?, limit])?;
        while let Some(row) = rows.next()? {
            let delivery = Delivery {
                offset: position(row.get(0)?),
                hash: row.get(1)?,
                envelope: Bytes(row.get(2)?),
                record: Bytes(row.get(3)?),
                member_of: Bytes(row.get(4)?),
            };
            if !fill.takes(delivery.envelope.len() + delivery.record.len() + delivery.member_of.len()) {
                break;
            }
            list.push(delivery);
        }
        Ok(list)
    }
}

/// When an envelope's delivery begins, if that is later than now. One that expires earlier comes out then, to expire.
fn scheduled(envelope: &Enqueue, now: Millis) -> Option<Millis> {
    envelope.deliver_at.map(|at| at.min(envelope.expires)).filter(|at| *at > now)
}
