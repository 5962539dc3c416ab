//! Receipts in, notices out.

use std::collections::BTreeSet;

use claudemesh_core::codec::Bytes;
use claudemesh_core::{DeviceId, MeshId, MessageId, Millis};
use rusqlite::params;

use super::{Fill, Logic, MailEntry, Num, Res, SPAN, int, key, position};
use crate::store::{Acked, Folds, NewNotice, Notice, Page, Receipt};

/// A notice as the tables hold it: a receipt part, or with a recipient the id of an expired copy.
struct Stored {
    recipient: Option<Num>,
    attempt: Option<i64>,
    bytes: Vec<u8>,
}

impl<F: Folds> Logic<F> {
    pub(in crate::store) fn ack(&mut self, batch: Vec<Receipt>, now: Millis) -> Res<Acked> {
        let mut removed = Vec::with_capacity(batch.len());
        let mut notices = Vec::new();
        for receipt in batch {
            removed.push(self.ack_one(receipt, now, &mut notices)?);
        }
        Ok(Acked { removed, notices })
    }

    fn ack_one(&mut self, receipt: Receipt, now: Millis, notices: &mut Vec<NewNotice>) -> Res<Vec<u64>> {
        let Some(mesh) = self.load_mesh(&receipt.mesh)? else { return Ok(Vec::new()) };
        let Some(device) = self.find_device(mesh, &receipt.recipient)? else { return Ok(Vec::new()) };
        let mut offsets = Vec::with_capacity(receipt.items.len());
        let mut senders = BTreeSet::new();
        for item in &receipt.items {
            let Some(sender) = self.find_device(mesh, &item.sender)? else { continue };
            let index = self.index(device)?;
            let fits =
                |entry: &MailEntry| entry.sender == sender && entry.id == item.id && entry.attempt == item.attempt;
            // What matches no waiting row was acknowledged before, or never was this device's.
            if !index.get(&item.hash).is_some_and(fits) {
                continue;
            }
            let Some(entry) = index.remove(&item.hash) else { continue };
            self.release_body(entry.body)?;
            if item.refused {
                self.note_refused(device, &entry, now)?;
            }
            senders.insert(item.sender);
            offsets.push(entry.offset);
        }
        offsets.sort_unstable();
        for run in offsets.chunk_by(|one, next| one + 1 == *next) {
            self.drop_mail(device, run)?;
        }
        for (sender, part) in receipt.parts {
            if senders.contains(&sender)
                && let Some(n) = self.find_device(mesh, &sender)?
                && !self.counters(n)?.removed
            {
                let offset = self.add_notice(n, now, None, None, &part.0)?;
                notices.push(NewNotice { mesh: receipt.mesh, device: sender, offset, notice: Notice::Receipt(part) });
            }
        }
        Ok(offsets)
    }

    /// Removes the rows at neighbouring offsets.
    pub(super) fn drop_mail(&mut self, device: Num, offsets: &[u64]) -> Res<()> {
        let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return Ok(()) };
        self.db
            .prepare_cached("DELETE FROM mail WHERE key BETWEEN ?1 AND ?2")?
            .execute([key(device, *first)?, key(device, *last)?])?;
        let row = self.changed(device)?;
        row.mail_rows = row.mail_rows.saturating_sub(offsets.len() as u64);
        Ok(())
    }

    /// Remembers a refused attempt, so that the next one is taken although its number was accepted.
    fn note_refused(&mut self, recipient: Num, entry: &MailEntry, now: Millis) -> Res<()> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO refused (sender, recipient, id, attempt, lane, seq, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                entry.sender,
                recipient,
                entry.id.as_bytes(),
                int(entry.attempt)?,
                entry.lane,
                int(entry.seq)?,
                int(now.0)?
            ])?;
        Ok(())
    }

    pub(super) fn add_notice(
        &mut self,
        device: Num,
        now: Millis,
        recipient: Option<Num>,
        attempt: Option<u64>,
        bytes: &[u8],
    ) -> Res<u64> {
        let row = self.changed(device)?;
        row.last_notice += 1;
        let offset = row.last_notice;
        let attempt = attempt.map(int).transpose()?;
        self.db
            .prepare_cached("INSERT INTO notices (key, at, recipient, attempt, bytes) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![key(device, offset)?, int(now.0)?, recipient, attempt, bytes])?;
        let kept = self.limits.notice_rows;
        if offset > kept && offset % 256 == 0 {
            self.db
                .prepare_cached("DELETE FROM notices WHERE key BETWEEN ?1 AND ?2")?
                .execute([device * SPAN, key(device, offset - kept)?])?;
        }
        Ok(offset)
    }

    pub(in crate::store) fn notices(
        &mut self,
        mesh: &MeshId,
        device: &DeviceId,
        after: u64,
        page: Page,
    ) -> Res<Vec<(u64, Notice)>> {
        let Some(mesh) = self.load_mesh(mesh)? else { return Ok(Vec::new()) };
        let Some(device) = self.find_device(mesh, device)? else { return Ok(Vec::new()) };
        let mut fill = Fill::new(page);
        let mut found: Vec<(u64, Stored)> = Vec::new();
        {
            let mut sql = self.db.prepare_cached(
                "SELECT key, recipient, attempt, bytes FROM notices WHERE key > ?1 AND key <= ?2 ORDER BY key LIMIT ?3",
            )?;
            let limit = i64::try_from(page.items).unwrap_or(i64::MAX);
            let mut rows = sql.query(params![key(device, after)?, device * SPAN + SPAN - 1, limit])?;
            while let Some(row) = rows.next()? {
                let stored = Stored { recipient: row.get(1)?, attempt: row.get(2)?, bytes: row.get(3)? };
                if !fill.takes(stored.bytes.len()) {
                    break;
                }
                found.push((position(row.get(0)?), stored));
            }
        }
        let mut list = Vec::with_capacity(found.len());
        for (offset, Stored { recipient, attempt, bytes }) in found {
            let notice = match (recipient, MessageId::try_from(&bytes[..])) {
                (Some(recipient), Ok(id)) => Notice::Expired {
                    recipient: self.device_name(recipient)?.1,
                    id,
                    attempt: attempt.unwrap_or_default().unsigned_abs(),
                },
                _ => Notice::Receipt(Bytes(bytes)),
            };
            list.push((offset, notice));
        }
        Ok(list)
    }

    pub(in crate::store) fn notices_done(&mut self, mesh: &MeshId, device: &DeviceId, through: u64) -> Res<()> {
        let mesh = self.mesh(mesh)?;
        let Some(device) = self.find_device(mesh, device)? else { return Ok(()) };
        let through = key(device, through.min(self.counters(device)?.last_notice))?;
        let gone = self
            .db
            .prepare_cached("DELETE FROM notices WHERE key BETWEEN ?1 AND ?2")?
            .execute([device * SPAN, through])?;
        self.wrote |= gone > 0;
        Ok(())
    }
}
