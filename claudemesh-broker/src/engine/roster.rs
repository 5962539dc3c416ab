//! Rosters: appended through the store, kept in memory for meshes in use.

use std::collections::BTreeMap;
use std::sync::Arc;

use claudemesh_core::codec::List;
use claudemesh_core::roster::{Applied, Entry, Payload, RosterError};
use claudemesh_core::wire::{self, ErrorCode};
use claudemesh_core::{MeshId, Millis, Roster};

use super::state::{Mesh, State};
use super::{Answer, Call, Inner, Reply};
use crate::presence::PresenceTable;
use crate::routing::{self, Mode, Refused};
use crate::store::{Page, Refusal, StoreError};

/// Entries of one answer.
const MAX_ENTRIES: u64 = 1024;

impl Inner {
    /// Sees to it that the roster of `mesh` is here and no shorter than in the store; `false` when there is none.
    pub(super) async fn load(&self, mesh: MeshId, now: Millis) -> Result<bool, Refused> {
        if self.state().meshes.contains_key(&mesh) {
            return Ok(true);
        }
        let mut roster: Option<Roster> = None;
        loop {
            let from = roster.as_ref().map_or(0, |roster| roster.head().index + 1);
            let range = self.store.roster_range(mesh, from, Page::of(1024)).await?;
            for entry in &range.entries {
                match &mut roster {
                    Some(roster) => roster.apply(entry).map(|_| ()),
                    None => Roster::genesis(entry).map(|begun| roster = Some(begun)),
                }
                .map_err(damaged)?;
            }
            let Some(head) = range.head else { return Ok(false) };
            if range.entries.is_empty() || roster.as_ref().is_some_and(|roster| roster.head() == head) {
                break;
            }
        }
        let Some(roster) = roster else { return Ok(false) };
        let mut state = self.state();
        // Another connection may have been faster, and its roster may have grown already.
        if !state.meshes.contains_key(&mesh) {
            // Those who wait for it to begin.
            let open = state.open_in(mesh).count();
            state.meshes.insert(
                mesh,
                Mesh {
                    roster,
                    open,
                    used: now,
                    devices: BTreeMap::new(),
                    followers: BTreeMap::new(),
                    presence: PresenceTable::default(),
                },
            );
        }
        Ok(true)
    }

    pub(super) fn roster_append(self: &Arc<Self>, call: Call, body: wire::RosterAppend) -> Answer {
        let entry = match Entry::parse(&body.entry) {
            Ok(entry) => entry,
            Err(error) => return self.answer_now(&call, Err(unreadable(error))),
        };
        let creates = {
            let mut state = self.state();
            let checked = match call.mode {
                Mode::Join(invite) => routing::check_joining(&entry, &invite, &call.device),
                Mode::Device | Mode::Create => Ok(()),
            };
            match checked.and_then(|()| self.reserve(&mut state, &call, &entry)) {
                Ok(creates) => creates,
                Err(refused) => {
                    state.reply(call.id, call.request, Err(refused), call.now);
                    return Answer::DONE;
                }
            }
        };
        let appended = match call.mode {
            // Offered by whoever holds it, made by whom it names.
            Mode::Create => self.store.roster_restore_if_head(call.mesh, body.entry, call.now),
            Mode::Device | Mode::Join(_) => self.store.roster_append_if_head(call.mesh, body.entry, call.now),
        };
        let inner = self.clone();
        Answer::later(async move {
            let appended = appended.await;
            if creates && appended.is_err() {
                inner.state().mesh_count -= 1;
            }
            match appended {
                Ok(appended) => inner.appended(&call, &entry, appended.commit).await,
                Err(error) => {
                    let reply = inner.stands_already(&call, &entry, error).await;
                    inner.state().reply(call.id, call.request, reply, call.now);
                }
            }
        })
    }

    /// Whether the entry brings a new mesh, for which there has to be room. Room is taken at once, so that two creators
    /// cannot take the same.
    fn reserve(&self, state: &mut State, call: &Call, entry: &Entry) -> Result<bool, Refused> {
        let creates = matches!(entry.payload(), Payload::Genesis(_)) && !state.meshes.contains_key(&call.mesh);
        if creates {
            if !state.may_create(&self.config, &call.mesh) {
                return Err(Refused::new(ErrorCode::Forbidden, "this broker takes no such mesh"));
            }
            state.mesh_count += 1;
        }
        Ok(creates)
    }

    /// Answers an append and tells everybody. The answer comes first: the entry may end the very connection.
    async fn appended(&self, call: &Call, entry: &Entry, commit: u64) {
        let mut here = false;
        {
            let mut state = self.state();
            state.committed(commit);
            state.reply(call.id, call.request, Ok(wire::Done {}.into()), call.now);
            if let Some(mesh) = state.meshes.get_mut(&call.mesh) {
                here = true;
                if let Ok(applied) = mesh.roster.apply(entry.bytes()) {
                    state.roster_grew(call.mesh, &applied, call.now);
                    return;
                }
            }
        }
        // Not the next entry here: the answers of two appends overlapped. Or a mesh began.
        let caught_up = if here {
            self.catch_up(call.mesh, call.now).await
        } else {
            self.load(call.mesh, call.now).await.map(|_| ())
        };
        if let Err(refused) = caught_up {
            tracing::error!(mesh = call.mesh.short(), code = refused.code.as_str(), "a roster could not be read back");
        }
    }

    /// Brings the roster here up to the store's.
    async fn catch_up(&self, mesh: MeshId, now: Millis) -> Result<(), Refused> {
        loop {
            let Some(from) = self.state().meshes.get(&mesh).map(|mesh| mesh.roster.head().index + 1) else {
                return Ok(());
            };
            let range = self.store.roster_range(mesh, from, Page::of(64)).await?;
            if range.entries.is_empty() {
                return Ok(());
            }
            let mut state = self.state();
            for entry in &range.entries {
                if let Some(applied) = apply_next(&mut state, mesh, entry)? {
                    state.roster_grew(mesh, &applied, now);
                }
            }
        }
    }

    /// The reply to an entry that was refused: one that stands in its place already was appended earlier.
    async fn stands_already(&self, call: &Call, entry: &Entry, error: StoreError) -> Reply {
        let StoreError::Refused(Refusal::HeadMoved | Refusal::MeshExists | Refusal::MeshClosed | Refusal::RateLimited) =
            error
        else {
            return Err(error.into());
        };
        let range = self.store.roster_range(call.mesh, entry.index(), Page::of(1)).await?;
        match range.entries.first() {
            Some(there) if there[..] == *entry.bytes() => Ok(wire::Done {}.into()),
            _ => Err(error.into()),
        }
    }

    pub(super) fn roster_range(self: &Arc<Self>, call: Call, body: &wire::RosterRange) -> Answer {
        // Who offers a roster may read the one here when it stands on it: knowing the mesh's id is not enough.
        let reads = call.mode != Mode::Create
            || self.state().meshes.get(&call.mesh).is_some_and(|mesh| mesh.roster.is_live_device(&call.device));
        if !reads {
            return self.answer_now(&call, Err(Refused::new(ErrorCode::Forbidden, "not a device of this mesh")));
        }
        let limit = body.limit.clamp(1, MAX_ENTRIES) as usize;
        let range = self.store.roster_range(call.mesh, body.from, Page::of(limit));
        self.answer(call, async move {
            let range = range.await?;
            let head = range.head.ok_or(Refused::new(ErrorCode::UnknownMesh, "no such mesh here"))?;
            let entries = List::from_vec(range.entries).map_err(|_| Refused::new(ErrorCode::Internal, ""))?;
            Ok(wire::RosterEntries { entries, head }.into())
        })
    }
}

/// Applies an entry unless it is here already.
fn apply_next(state: &mut State, mesh: MeshId, entry: &[u8]) -> Result<Option<Applied>, Refused> {
    let Some(known) = state.meshes.get_mut(&mesh) else { return Ok(None) };
    let index = Entry::parse(entry).map_err(damaged)?.index();
    if index <= known.roster.head().index {
        return Ok(None);
    }
    known.roster.apply(entry).map(Some).map_err(damaged)
}

fn unreadable(error: RosterError) -> Refused {
    match error {
        RosterError::TooLarge => Refused::new(ErrorCode::TooLarge, "the entry is too large"),
        RosterError::UnknownKind => Refused::new(ErrorCode::InvalidEntry, "the entry is of an unknown kind"),
        _ => Refused::new(ErrorCode::Malformed, "not a roster entry"),
    }
}

fn damaged(_: RosterError) -> Refused {
    Refused::new(ErrorCode::Internal, "the stored roster is damaged")
}
