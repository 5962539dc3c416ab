//! Device records: asking for those of peers, publishing the own one.

use super::{Action, Change, Context, Fault, Notice, Pending, Session};
use crate::codec::List;
use crate::device::{DeviceRecord, RecordDraft};
use crate::id::DeviceId;
use crate::wire::{self, Frame};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use rand_core::CryptoRng;

/// How often a missing device record is asked for again, milliseconds.
const ASK_AGAIN: u64 = 30_000;
/// Devices of one request: the answer fits a frame even when each record is as large as it may be.
const MAX_ASKED: usize = 31;

impl Session {
    pub(super) fn ask_records<R>(&mut self, wanted: &BTreeSet<DeviceId>, cx: &mut Context<'_, R>) {
        let due: Vec<DeviceId> = wanted
            .iter()
            .filter(|device| {
                !self.is_asking(device) && self.asked.get(device).is_none_or(|asked| cx.now.since(*asked) >= ASK_AGAIN)
            })
            .copied()
            .collect();
        for devices in due.chunks(MAX_ASKED) {
            for device in devices {
                self.asked.insert(*device, cx.now);
            }
            let request = self.request(Pending::Records(devices.to_vec()));
            let devices = List::from_vec(devices.to_vec()).unwrap_or_default();
            cx.out.push(Action::Send(Frame::new(request, wire::RecordGet { devices })));
        }
    }

    /// Whether the broker has answered about this device since the connection was made.
    pub(super) fn was_asked(&self, device: &DeviceId) -> bool {
        self.asked.contains_key(device) && !self.is_asking(device)
    }

    pub(super) fn is_asking(&self, device: &DeviceId) -> bool {
        self.pending.values().any(|pending| matches!(pending, Pending::Records(devices) if devices.contains(device)))
    }

    pub(super) fn on_records<R>(&mut self, _asked: &[DeviceId], reply: &wire::Records, cx: &mut Context<'_, R>) {
        for bytes in reply.records.iter() {
            self.take_record(bytes, cx);
        }
    }

    pub(super) fn take_record<R>(&mut self, bytes: &[u8], cx: &mut Context<'_, R>) {
        let taken = DeviceRecord::claimed_device(bytes).ok().and_then(|device| {
            let owner = self.roster.device(&device)?;
            let record = DeviceRecord::verify(bytes, &self.mesh, &owner.key).ok()?;
            Some((device, record, owner.is_live()))
        });
        let Some((device, record, live)) = taken else {
            return cx.notify(Notice::Rejected { fault: Fault::Forged });
        };
        if !live {
            return;
        }
        // Never back to a lower counter, nor to another body of the same one, whatever the broker serves.
        match self.records.get(&device) {
            Some(held) if record.as_bytes() == held.as_bytes() => {}
            Some(held) if record.counter() <= held.counter() => {
                return cx.notify(Notice::Rejected { fault: Fault::StaleRecord });
            }
            _ => {
                cx.persist(Change::Record { device, record: bytes.into() });
                self.records.insert(device, record);
            }
        }
        self.refused_records.remove(&device);
    }

    /// Erases private parts whose time has come, with what they opened, whether there is a connection or not.
    pub(super) fn erase_prekeys<R>(&mut self, cx: &mut Context<'_, R>) {
        if self.is_clock_wrong() {
            return;
        }
        let erased = self.prekeys.erase(cx.now.seconds());
        if erased.is_empty() {
            return;
        }
        for prekey in erased {
            self.unwraps.forget_prekey(&self.device, prekey.0);
        }
        cx.persist(Change::Prekeys { counter: self.record_counter, ring: self.prekeys.snapshot() });
    }

    /// Publishes own prekeys: daily, and whenever the broker does not have them.
    pub(super) fn flush_records<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        if self.is_clock_wrong() {
            // Dated by a wrong clock, a prekey would be dead for others at once, or live for far too long.
            return;
        }
        self.prekeys.set_right(cx.now.seconds());
        self.record_due |= self.prekeys.rotate(cx.now.seconds(), cx.rng);
        if !self.record_due || self.retry_at.is_some() {
            return;
        }
        self.record_due = false;
        self.record_counter += 1;
        cx.persist(Change::Prekeys { counter: self.record_counter, ring: self.prekeys.snapshot() });
        let draft = RecordDraft {
            counter: self.record_counter,
            prekeys: self.prekeys.public(),
            head: self.roster.head(),
            profile: None,
        };
        let Ok(record) = DeviceRecord::sign(&self.key, &self.mesh, &draft) else { return };
        let request = self.request(Pending::Record);
        cx.out.push(Action::Send(Frame::new(request, wire::RecordPut { record: record.into() })));
    }
}
