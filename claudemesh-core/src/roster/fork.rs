//! What proves that a mesh has two histories.

use super::entry::Entry;
use super::payload::Payload;
use super::rules::brought_key;
use super::rules::proof::Proof;
use super::state::Invite;
use super::{InviteId, MemberId, Roster};

impl Roster {
    /// Whether `bytes` prove another history of this mesh: an entry that has no place in this chain, and that somebody
    /// signed who, by this chain, was in the mesh before it. Of an entry that brings its own author, the invite or the
    /// recovery key vouches. Anybody can make up the rest, which therefore proves nothing.
    #[must_use]
    pub fn is_forked_by(&self, bytes: &[u8]) -> bool {
        let Ok(entry) = Entry::parse(bytes) else { return false };
        let Some(before) = entry.index().checked_sub(1) else { return false };
        let elsewhere = match self.hash_at(entry.index()) {
            Some(own) => own != *entry.hash(),
            None => self.head().index == before && self.head().hash != entry.body().previous,
        };
        elsewhere && entry.body().mesh == Some(self.mesh) && self.was_signed(&entry, before)
    }

    fn was_signed(&self, entry: &Entry, before: u64) -> bool {
        let Some(key) = brought_key(entry) else {
            let author = self.device(entry.author()).filter(|device| device.was_live_at(before));
            return author.is_some_and(|author| entry.verify(&author.key).is_ok());
        };
        let vouched = match entry.payload() {
            Payload::MemberJoined(payload) => self.invite_at(&payload.invite, None, before).is_some_and(|invite| {
                Proof::join(&self.mesh, &payload.statement).verify(&invite.key, &payload.signature).is_ok()
            }),
            Payload::DeviceAdded(payload) => {
                self.invite_at(&payload.invite, Some(&payload.member), before).is_some_and(|invite| {
                    let proof = Proof::device(&self.mesh, &payload.member, &payload.key);
                    proof.verify(&invite.key, &payload.signature).is_ok()
                })
            }
            Payload::OwnerReset(payload) => {
                let proof = Proof::reset(&self.mesh, &payload.recovery, &payload.statement);
                proof.verify(&self.recovery, &payload.signature).is_ok()
            }
            _ => false,
        };
        vouched && *entry.author() == key.device_id() && entry.verify(key).is_ok()
    }

    /// The invite, when it was there once the entry at `index` had been applied, and bound as `member` says.
    fn invite_at(&self, id: &InviteId, member: Option<&MemberId>, index: u64) -> Option<&Invite> {
        self.invite(id).filter(|invite| {
            invite.created_at <= index
                && invite.closed_at.is_none_or(|at| index < at)
                && invite.member.as_ref() == member
        })
    }
}
