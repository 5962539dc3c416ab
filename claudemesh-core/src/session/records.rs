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
            // Never back to a lower counter, whatever the broker serves.
            let newer = self.records.get(&device).is_none_or(|held| record.counter() > held.counter());
            let newer = newer && owner.is_live();
            Some((device, record, newer))
        });
        match taken {
            Some((device, record, true)) => {
                cx.persist(Change::Record { device, record: bytes.into() });
                self.records.insert(device, record);
            }
            Some(_) => {}
            None => cx.notify(Notice::Rejected { fault: Fault::Forged }),
        }
    }

    /// Erases private parts whose time has come, with what they opened, whether there is a connection or not.
    pub(super) fn erase_prekeys<R>(&mut self, cx: &mut Context<'_, R>) {
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
