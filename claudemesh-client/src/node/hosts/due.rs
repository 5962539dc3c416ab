//! What is to be handed to a session now: notices of messages, each once, and again when the host does not confirm them.

use std::collections::BTreeMap;
use std::sync::Arc;

use claudemesh_core::envelope::ClaimState;
use claudemesh_core::session::Command;
use claudemesh_core::{DeviceId, MemberId, MessageId};
use rand_core::Rng;

use super::{Hosts, Senders};
use crate::api::{self, Activity};
use crate::error::Error;
use crate::node::driver::rng;
use crate::node::{Active, view};
use crate::sessions::gate::{Asking, Standing, gate};
use crate::sessions::{Entry, notice};
use crate::store::{Extra, WaitingRow, now_ms};

/// How long the host has to confirm a notice before it is told again, milliseconds; twice as long each time.
const CONFIRM: i64 = 60_000;
/// How long the next notice waits for that of a host whose hooks are not heard.
const UNHEARD: i64 = 3_000;
/// How often a message is told at most. After that it is there when it is asked for.
const MOST_POSTS: u64 = 5;

/// A message that may be handed over.
struct Passing {
    mesh: usize,
    row: WaitingRow,
}

/// What is due, and when to look again.
pub(super) struct Due {
    pub(super) notices: Vec<api::Notice>,
    pub(super) again: Option<i64>,
}

impl Hosts {
    /// What is to be handed to a session that is doing this, or what it is known to be doing. Tells senders why their
    /// messages wait.
    pub(super) async fn due(&self, entry: &Entry, doing: Option<Activity>) -> Result<Due, Error> {
        let _handing = self.handing.lock().await;
        let meshes = self.meshes_of(entry.mesh.as_deref()).await;
        let now = now_ms();
        let mut passing = Vec::new();
        let mut is_idle = true;
        for (index, mesh) in meshes.iter().enumerate() {
            if self.is_lead(&entry.name, mesh) {
                self.store.adopt(mesh.store_row, entry.name.clone()).await?;
            }
            let rows = self.store.waiting(mesh.store_row, entry.name.clone()).await?;
            if rows.is_empty() {
                continue;
            }
            let device = self.device_status(mesh).await?;
            let known = entry.status(device, now).0;
            let status = doing.filter(|_| known != Activity::Dnd).unwrap_or(known);
            is_idle &= status == Activity::Idle;
            let standing = Standing { status, unguarded: entry.unguarded };
            let limits = self.limits();
            let mut waits: BTreeMap<ClaimState, Vec<WaitingRow>> = BTreeMap::new();
            let mut about: BTreeMap<[u8; 32], u32> = BTreeMap::new();
            for row in rows.into_iter().filter(|row| !row.injected) {
                let asking = Asking { priority: view::priority(row.priority), permitted: row.permitted };
                let told = about.entry(row.member).or_default();
                let is_new = row.notice.is_none();
                let gated = gate(asking, standing).or_else(|| {
                    let limited = is_new && !entry.guard.permits(&row.member, *told, limits);
                    limited.then_some(ClaimState::WaitsForLimit)
                });
                match gated {
                    None => {
                        *told += u32::from(is_new);
                        passing.push(Passing { mesh: index, row });
                    }
                    Some(claim) if row.told != Some(claim.code()) && row.posted_at.is_none() => {
                        waits.entry(claim).or_default().push(row);
                    }
                    Some(_) => {}
                }
            }
            for (claim, rows) in waits {
                self.tell(mesh, &entry.name, claim, rows).await?;
            }
        }
        // A channel notification is never confirmed.
        let most = if entry.route == api::Route::Channel { 1 } else { MOST_POSTS };
        let mut due = Due { notices: Vec::new(), again: None };
        let mut repeated: BTreeMap<String, Vec<Passing>> = BTreeMap::new();
        let (mut fresh, mut outstanding) = (Vec::new(), false);
        for passing in passing {
            match (&passing.row.notice, passing.row.posted_at) {
                (None, _) => fresh.push(passing),
                // It may not have been written.
                (Some(id), None) => repeated.entry(id.clone()).or_default().push(passing),
                (Some(_), Some(at)) => {
                    let patience = if entry.hooked { CONFIRM << (passing.row.posts.clamp(1, 8) - 1) } else { UNHEARD };
                    if at + patience > now {
                        outstanding = true;
                        due.again = Some(due.again.map_or(at + patience, |known: i64| known.min(at + patience)));
                    } else if entry.hooked && is_idle && passing.row.posts < most {
                        fresh.push(passing);
                    }
                }
            }
        }
        for (id, messages) in repeated {
            due.notices.push(notice_of(id, &meshes, &messages).await?);
        }
        let urgent = fresh.iter().any(|passing| view::priority(passing.row.priority) == api::Priority::Now);
        if let Some(until) = entry.guard.full_until(now, self.limits()).filter(|_| !fresh.is_empty()) {
            due.again = Some(due.again.map_or(until, |known| known.min(until)));
            for (index, mesh) in meshes.iter().enumerate() {
                let told = |passing: &&Passing| passing.row.told == Some(ClaimState::WaitsForLimit.code());
                let of_mesh = fresh.iter().filter(|passing| passing.mesh == index && !told(passing));
                let rows: Vec<WaitingRow> = of_mesh.map(|passing| passing.row.clone()).collect();
                if !rows.is_empty() {
                    self.tell(mesh, &entry.name, ClaimState::WaitsForLimit, rows).await?;
                }
            }
            return Ok(due);
        }
        if !fresh.is_empty() && (urgent || !outstanding) {
            let id = notice::id(rng().next_u64().to_be_bytes());
            self.store.notice(id.clone(), fresh.iter().map(|passing| passing.row.inbox).collect()).await?;
            due.notices.push(notice_of(id, &meshes, &fresh).await?);
            if let Some(entry) = self.registry().get_mut(&entry.name) {
                let new = fresh.iter().filter(|passing| passing.row.notice.is_none());
                entry.guard.told(new.map(|passing| passing.row.member), now);
            }
        }
        Ok(due)
    }

    /// Tells senders why their messages wait.
    async fn tell(&self, mesh: &Active, session: &str, claim: ClaimState, rows: Vec<WaitingRow>) -> Result<(), Error> {
        let messages = rows.iter().map(|row| (DeviceId::from_bytes(row.device), MessageId::from_bytes(row.id)));
        let command = Command::Claim { messages: messages.collect(), state: claim, session: Some(session.to_owned()) };
        let told = Extra::Told { messages: rows.iter().map(|row| row.inbox).collect(), claim: claim.code() };
        mesh.handle()?.command_with(command, vec![told]).await
    }
}

/// A notice in words.
async fn notice_of(id: String, meshes: &[Arc<Active>], messages: &[Passing]) -> Result<api::Notice, Error> {
    let mut senders = Vec::new();
    for (index, mesh) in meshes.iter().enumerate() {
        let mut counts = Senders::new();
        for Passing { row, .. } in messages.iter().filter(|passing| passing.mesh == index) {
            *counts.entry((row.member, row.from_session.clone())).or_default() += 1;
        }
        if counts.is_empty() {
            continue;
        }
        let several = meshes.len() > 1;
        let of_mesh = mesh.look(move |session, row| {
            let from = |((member, from_session), count): (([u8; 32], Option<String>), u64)| {
                let member = MemberId::from_bytes(member);
                notice::From {
                    name: view::name_of(session, row, &member),
                    key: member.to_string()[..8].to_owned(),
                    session: from_session.filter(|session| session != crate::DEFAULT_SESSION),
                    mesh: several.then(|| row.label.clone()),
                    count,
                }
            };
            counts.into_iter().map(from).collect::<Vec<_>>()
        });
        senders.extend(of_mesh.await?);
    }
    let urgent = messages.iter().any(|passing| view::priority(passing.row.priority) == api::Priority::Now);
    let text = notice::text(&id, &senders, urgent);
    Ok(api::Notice { id, text, count: messages.len() as u64 })
}
