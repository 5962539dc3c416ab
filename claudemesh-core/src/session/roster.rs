//! Keeping the roster in step, and appending to it.

use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::{Action, Change, Context, Fault, Notice, Pending, Phase, Session};
use crate::codec::Bytes;
use crate::head::Connection;
use crate::id::{DeviceId, InviteId, MemberId};
use crate::roster::{Broker, Entry, NewInvite, Role, Roster, RosterError};
use crate::wire::{self, Body, ErrorCode, Frame};

/// A roster change to make. It is signed against the head in force when it is sent, and again when that head moved.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Append {
    /// Makes an invite.
    CreateInvite(NewInvite),
    /// Closes an invite.
    CloseInvite(InviteId),
    /// Removes a member; one's own means leaving.
    RemoveMember(MemberId),
    /// Removes a device.
    RemoveDevice(DeviceId),
    /// Changes a role.
    ChangeRole(MemberId, Role),
    /// Sets the brokers.
    SetBrokers(Vec<Broker>),
    /// Closes the mesh.
    CloseMesh,
}

impl Append {
    fn sign(&self, roster: &Roster, key: &crate::key::SigningKey) -> Result<Vec<u8>, RosterError> {
        match self {
            Self::CreateInvite(invite) => roster.create_invite(key, invite.clone()),
            Self::CloseInvite(invite) => roster.close_invite(key, invite),
            Self::RemoveMember(member) => roster.remove_member(key, member),
            Self::RemoveDevice(device) => roster.remove_device(key, device),
            Self::ChangeRole(member, role) => roster.change_role(key, member, *role),
            Self::SetBrokers(brokers) => roster.set_brokers(key, brokers.clone()),
            Self::CloseMesh => roster.close_mesh(key),
        }
    }
}

/// Why a roster change was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// There is no connection.
    #[error("the broker cannot be reached")]
    Offline,
    /// The roster's rules do not permit it.
    #[error("{0}")]
    Invalid(RosterError),
    /// The broker refused it.
    #[error("the broker refused it: {0}")]
    Refused(ErrorCode),
}

impl Session {
    pub(super) fn request_append<R: CryptoRng>(&mut self, token: u64, append: Append, cx: &mut Context<'_, R>) {
        if !matches!(self.phase, Phase::Ready) {
            return cx.notify(Notice::Appended { token, result: Err(AppendError::Offline) });
        }
        match append.sign(&self.roster, &self.key) {
            Ok(entry) => {
                let frame = wire::RosterAppend { entry: Bytes(entry.clone()) };
                let request = self.request(Pending::Append { token, append, entry });
                cx.out.push(Action::Send(Frame::new(request, frame)));
            }
            Err(error) => cx.notify(Notice::Appended { token, result: Err(AppendError::Invalid(error)) }),
        }
    }

    pub(super) fn on_append_reply<R: CryptoRng>(
        &mut self,
        token: u64,
        append: Append,
        entry: &[u8],
        reply: Body,
        cx: &mut Context<'_, R>,
    ) {
        match reply {
            Body::Done(_) => {
                // The push of the own entry may have come first.
                let index = match self.roster.apply(entry) {
                    Ok(applied) => {
                        let index = applied.entry.index();
                        self.took_entry(applied, entry, cx);
                        index
                    }
                    Err(_) => self.roster.head().index,
                };
                cx.notify(Notice::Appended { token, result: Ok(index) });
            }
            Body::Error(error) if error.code == ErrorCode::HeadMoved => {
                self.appends.push((token, append));
                self.sync_roster(cx);
            }
            Body::Error(error) => cx.notify(Notice::Appended { token, result: Err(AppendError::Refused(error.code)) }),
            _ => cx.notify(Notice::Appended { token, result: Err(AppendError::Refused(ErrorCode::Malformed)) }),
        }
    }

    pub(super) fn fail_appends<R>(&mut self, error: AppendError, cx: &mut Context<'_, R>) {
        for (token, _) in self.appends.drain(..) {
            cx.out.push(Action::Notify(Notice::Appended { token, result: Err(error) }));
        }
    }

    pub(super) fn is_roster_behind(&self, head: Option<crate::RosterHead>) -> bool {
        head.is_none_or(|head| head.index < self.roster.head().index)
    }

    pub(super) fn on_roster_push<R: CryptoRng>(&mut self, push: &wire::RosterPush, cx: &mut Context<'_, R>) {
        let next = self.roster.head().index + 1;
        if push.index > next {
            self.sync_roster(cx);
            return;
        }
        if push.index < next {
            if !self.is_known(&push.entry) {
                self.refuse_entry(&push.entry, cx);
            }
            return;
        }
        if self.take_entry(&push.entry, cx) {
            self.retry_deferred(None, cx);
        }
    }

    pub(super) fn on_roster_entries<R: CryptoRng>(
        &mut self,
        number: u64,
        reply: &wire::RosterEntries,
        cx: &mut Context<'_, R>,
    ) {
        let own = self.roster.head();
        if reply.head.index < own.index {
            // The broker has less than we verified: give it back what is missing, if its part agrees with ours.
            return match self.roster.connects(&reply.head) {
                Connection::Known => self.reappend(reply.head.index + 1, cx),
                _ => self.ask_for_proof(reply.head.index, cx),
            };
        }
        // The first entry was our head when we asked; pushes may have brought more since.
        if reply.entries.is_empty() {
            return self.drop_connection(Fault::InvalidRosterEntry, cx);
        }
        for bytes in reply.entries.iter() {
            if !self.is_known(bytes) && !self.take_entry(bytes, cx) {
                return;
            }
        }
        if self.roster.head().index < reply.head.index {
            self.sync_roster(cx);
            return;
        }
        if self.roster.connects(&reply.head) != Connection::Known {
            // It contradicts the entries it came with.
            return self.drop_connection(Fault::InvalidRosterEntry, cx);
        }
        match self.phase {
            Phase::Syncing => self.become_ready(cx),
            Phase::Ready => {
                for (token, append) in core::mem::take(&mut self.appends) {
                    self.request_append(token, append, cx);
                }
            }
            _ => return,
        }
        self.retry_logs(number, cx);
        self.retry_deferred(Some(number), cx);
    }

    /// Whether an entry is one that we verified.
    fn is_known(&self, bytes: &[u8]) -> bool {
        Entry::parse(bytes).is_ok_and(|entry| self.roster.hash_at(entry.index()) == Some(*entry.hash()))
    }

    /// The broker names a head that is not on our chain. Naming is cheap: it has to show the entry.
    fn ask_for_proof<R: CryptoRng>(&mut self, from: u64, cx: &mut Context<'_, R>) {
        let request = self.request(Pending::RosterProof);
        cx.out.push(Action::Send(Frame::new(request, wire::RosterRange { from, limit: 1 })));
    }

    pub(super) fn on_roster_proof<R: CryptoRng>(&mut self, reply: &wire::RosterEntries, cx: &mut Context<'_, R>) {
        if reply.entries.iter().any(|entry| self.roster.is_forked_by(entry)) {
            return self.halt_on_fork(cx);
        }
        self.drop_connection(Fault::InvalidRosterEntry, cx);
    }

    /// An entry that has no place here: a fork if somebody of the mesh signed it, else the broker's own fault.
    fn refuse_entry<R: CryptoRng>(&mut self, entry: &[u8], cx: &mut Context<'_, R>) {
        if self.roster.is_forked_by(entry) {
            self.halt_on_fork(cx);
        } else if matches!(self.phase, Phase::Ready) {
            // Stay at the last valid head and say so.
            self.fault(Fault::InvalidRosterEntry, cx);
        } else {
            self.drop_connection(Fault::InvalidRosterEntry, cx);
        }
    }

    /// A fork is never merged: nothing more is sent across it.
    pub(super) fn halt_on_fork<R: CryptoRng>(&mut self, cx: &mut Context<'_, R>) {
        self.halt(Fault::RosterFork, cx);
    }

    /// Verifies the next entry and takes it up; false when it is not valid.
    fn take_entry<R: CryptoRng>(&mut self, entry: &[u8], cx: &mut Context<'_, R>) -> bool {
        match self.roster.apply(entry) {
            Ok(applied) => {
                self.took_entry(applied, entry, cx);
                !matches!(self.phase, Phase::Halted)
            }
            Err(_) => {
                self.refuse_entry(entry, cx);
                false
            }
        }
    }

    fn took_entry<R: CryptoRng>(&mut self, applied: crate::roster::Applied, entry: &[u8], cx: &mut Context<'_, R>) {
        self.roster_entries.push(entry.into());
        cx.persist(Change::Roster { index: applied.entry.index(), entry: entry.into() });
        for device in &applied.removed_devices {
            self.records.remove(device);
            self.peers.remove(device);
            self.drop_recipient(device, cx);
        }
        let gone = applied.removed_devices.contains(&self.device);
        let closed = self.roster.is_closed();
        cx.notify(Notice::Roster(applied));
        if gone {
            self.halt(Fault::Removed, cx);
        } else if closed {
            self.halt(Fault::MeshClosed, cx);
        }
    }

    /// Appends the entries from `index` again at a broker that lost them; they validate themselves.
    pub(super) fn reappend<R: CryptoRng>(&mut self, index: u64, cx: &mut Context<'_, R>) {
        let from = usize::try_from(index).unwrap_or(usize::MAX).min(self.roster_entries.len());
        let entries: Vec<Bytes> = self.roster_entries[from..].to_vec();
        let last = entries.len().saturating_sub(1);
        for (at, entry) in entries.into_iter().enumerate() {
            let request = self.request(if at == last { Pending::Reappend } else { Pending::Other });
            cx.out.push(Action::Send(Frame::new(request, wire::RosterAppend { entry })));
        }
    }

    /// Takes what waited for roster entries. A delivery whose own request was `answered` waits no longer.
    pub(super) fn retry_deferred<R: CryptoRng>(&mut self, answered: Option<u64>, cx: &mut Context<'_, R>) {
        for (number, delivery) in core::mem::take(&mut self.deferred) {
            self.on_delivery(&delivery, answered != Some(number), cx);
        }
    }
}
