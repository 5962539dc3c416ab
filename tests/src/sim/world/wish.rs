//! What users want: done, or put off until it can be.

use claudemesh_core::Millis;
use claudemesh_core::session::{Append, Command};

use super::{EPOCH, Wish, World};
use crate::sim::fixture::invite_of;
use crate::sim::peer::Process;
use crate::sim::plan::{Place, RosterChange};

impl World {
    /// Does what a user wants, or puts it off.
    pub(super) fn grant(&mut self, who: usize, wish: Wish) {
        let later = (self.now + 400, who, wish.clone());
        if matches!(self.peers[who].process, Process::ShutOut) {
            return;
        }
        let Some(session) = self.peers[who].session() else { return self.wishes.push(later) };
        if session.is_halted() {
            return;
        }
        let command = match &wish {
            Wish::Name => {
                self.peers[who].wrote();
                self.peers[who].store.snapshot.name = Some(self.peers[who].name.into());
                Command::SetName(self.peers[who].name.into())
            }
            Wish::Read(device, id) => Command::Read(vec![(*device, *id)]),
            Wish::Send(n) => {
                let to = self.peers[self.plan.messages[*n].to].device();
                let Some(to) = session.roster().device(&to).map(|device| device.member) else {
                    return self.wishes.push(later);
                };
                Command::Send(self.compose(*n, to))
            }
            Wish::Write(n) => {
                let log = self.place(self.plan.logs.writes[*n].place);
                if !self.may_write(who, *n) {
                    // Whom nobody lets in writes nothing.
                    if self.now < self.plan.quiet {
                        self.wishes.push(later);
                    }
                    return;
                }
                let (token, record) = self.writings.begin(*n, who, log);
                Command::Write { token, log, record }
            }
            Wish::Open(room) => {
                Command::OpenLog { log: self.place(Place::Room(*room)), policy: self.policy(*room, None) }
            }
            Wish::Close(room) => Command::CloseLog(self.place(Place::Room(*room))),
            Wish::Admit { room, members } => {
                let log = self.place(Place::Room(*room));
                let is_new = session.log_size(&log).is_none_or(|(tail, _)| tail == 0);
                let inside = session.log_audience(&log).is_some_and(|inside| inside.contains(&session.member()));
                if !inside && (!is_new || self.plan.logs.rooms[*room].founder != who) {
                    if self.now < self.plan.quiet {
                        self.wishes.push(later);
                    }
                    return;
                }
                let audience = self.members(who, members);
                Command::OpenLog { log, policy: self.policy(*room, Some(audience)) }
            }
            Wish::Invite { room, members } => {
                let log = self.place(Place::Room(*room));
                if session.log_size(&log).is_none_or(|(tail, _)| tail == 0) {
                    return self.wishes.push(later);
                }
                let mut members = self.members(who, members);
                members.retain(|member| *member != session.member());
                Command::InviteToLog { log, members: members.into_iter().collect() }
            }
            Wish::Append(change) => {
                if !session.is_ready() {
                    return self.wishes.push(later);
                }
                match self.append_of(*change) {
                    Ok(Some(append)) => Command::Append { token: 1, append },
                    Ok(None) => return,
                    Err(()) => return self.wishes.push(later),
                }
            }
        };
        if self.command(who, command, &wish) {
            match wish {
                // Whether it was done shows in the roster.
                Wish::Append(_) => self.wishes.push((self.now + 3_000, who, wish)),
                Wish::Admit { room, members } => {
                    self.admitted(who, room, &members);
                    self.wishes.push((self.now, who, Wish::Invite { room, members }));
                }
                _ => {}
            }
        } else {
            self.wishes.push(later);
        }
    }

    /// The change to make; `None` when it is made, an error when it has to wait.
    fn append_of(&self, change: RosterChange) -> Result<Option<Append>, ()> {
        use claudemesh_core::invite::LinkSecret;
        use claudemesh_core::roster::{NewInvite, Role};
        let roster = self.peers[0].session().ok_or(())?.roster();
        let member = |who: usize| roster.device(&self.peers[who].device()).map(|device| device.member).ok_or(());
        Ok(match change {
            RosterChange::Invite(who) => {
                let key = LinkSecret::from_bytes(invite_of(who)).invite_key().public();
                let expires = Millis(EPOCH + 365 * 24 * 3600 * 1000).seconds();
                let invite = NewInvite::to_join(key, 1, expires, Vec::new());
                roster.invite(&key.invite_id()).is_none().then_some(Append::CreateInvite(invite))
            }
            RosterChange::Promote(who) => {
                let member = member(who)?;
                let plain = roster.member(&member).is_some_and(|m| m.is_live() && m.role == Role::Member);
                plain.then_some(Append::ChangeRole(member, Role::Admin))
            }
            RosterChange::Remove(who) => {
                let member = member(who)?;
                roster.member(&member).is_some_and(|m| m.is_live()).then_some(Append::RemoveMember(member))
            }
        })
    }
}
