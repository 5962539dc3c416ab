//! Own presence under a lease, and what peers show.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::{Action, Change, Context, Fault, Notice, Pending, Session};
use crate::codec::Bytes;
use crate::id::DeviceId;
use crate::presence::{Presence, PresenceContext, PresenceCounter, Status};
use crate::time::Millis;
use crate::wire::{self, Frame};

/// Seconds a presence holds without renewal.
const LEASE: u64 = 90;

/// What is known of a device's presence.
#[derive(Clone, Debug, Default)]
pub struct PeerPresence {
    /// Whether it is connected: the broker's word.
    pub online: bool,
    /// When it was last connected: the broker's word.
    pub last_seen: Millis,
    /// What it says of itself.
    pub status: Option<Status>,
    counter: PresenceCounter,
    /// What was verified last: brokers push the same again at every connection.
    verified: Option<Bytes>,
}

impl Session {
    /// Presence of a device.
    #[must_use]
    pub fn peer(&self, device: &DeviceId) -> Option<&PeerPresence> {
        self.peers.get(device)
    }

    /// The own presence.
    #[must_use]
    pub fn own_status(&self) -> &Status {
        &self.own_status
    }

    pub(super) fn set_status<R>(&mut self, status: Status, cx: &mut Context<'_, R>) {
        // A status that breaks a bound never becomes the own one.
        let Ok(bytes) = status.to_bytes() else { return };
        cx.persist(Change::OwnStatus { status: bytes[..].into() });
        self.own_status = status;
        if self.is_ready() {
            self.presence_due = Some(cx.now);
        }
    }

    pub(super) fn flush_presence<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        if self.presence_due.is_none_or(|due| cx.now < due) {
            return;
        }
        // Without a current epoch there is nothing to seal under yet; the commit makes this due again.
        let Some((epoch, secret)) = self.logs.mesh_epoch() else {
            self.presence_due = Some(cx.now.plus(LEASE * 500));
            return;
        };
        let counter = self.presence_counter + 1;
        let context = PresenceContext { mesh: self.mesh, boot: self.boot, counter, head: self.roster.head(), epoch };
        let signed = Presence::sign(&self.key, &context, secret, &self.own_status, cx.rng);
        self.presence_counter = counter;
        let Ok(presence) = signed else { return };
        self.presence_due = Some(cx.now.plus(LEASE * 500));
        let request = self.request(Pending::Other);
        let frame = wire::PresencePut { presence: presence.into(), lease: LEASE };
        cx.out.push(Action::Send(Frame::new(request, frame)));
    }

    pub(super) fn on_presence<R: CryptoRng>(&mut self, push: wire::PresencePush, cx: &mut Context<'_, R>) {
        let mut changed = Vec::new();
        for item in push.devices.into_vec() {
            let Some(device) = self.roster.device(&item.device).filter(|device| device.is_live()) else { continue };
            let key = device.key;
            // Who comes online publishes its record: what waits for a prekey need not wait for the next round of asking.
            if item.online && self.fresh_prekey(&item.device, cx.now).is_none() {
                self.asked.remove(&item.device);
            }
            let peer = self.peers.entry(item.device).or_default();
            let before = (peer.online, peer.status.clone());
            peer.online = item.online;
            peer.last_seen = peer.last_seen.max(item.last_seen);
            if let Some(bytes) = item.presence
                && peer.verified.as_ref() != Some(&bytes)
            {
                match Presence::verify(&bytes, &self.mesh, &key) {
                    Ok(presence) => {
                        if let Some(secret) = self.logs.mesh_secret(presence.epoch())
                            && peer.counter.accept(&presence)
                            && let Ok(status) = presence.open(secret)
                        {
                            peer.status = Some(status);
                            peer.verified = Some(bytes);
                        }
                    }
                    Err(_) => cx.notify(Notice::Rejected { fault: Fault::Forged }),
                }
            }
            if before != (peer.online, peer.status.clone()) {
                changed.push(item.device);
            }
        }
        for device in changed {
            cx.notify(Notice::Presence(device));
        }
    }
}
