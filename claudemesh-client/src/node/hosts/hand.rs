//! Handing messages to sessions: waiting for something to hand over, what hosts confirm, and what sessions take.

use std::sync::Arc;

use claudemesh_core::envelope::ClaimState;
use claudemesh_core::session::Command;
use claudemesh_core::{DeviceId, MemberId, MessageId};
use tokio::time::{Duration, Instant};

use super::Hosts;
use crate::api::{self, Activity, HostEvent, Route};
use crate::error::{Error, ErrorKind};
use crate::node::view;
use crate::sessions::gate::{Asking, Standing, gate};
use crate::sessions::{Entry, Process};
use crate::store::{Extra, WaitingRow, now_ms};

/// Notices named at once.
const MOST_SEEN: usize = 64;

impl Hosts {
    /// Waits for notices for a session.
    pub(super) async fn notices(&self, query: api::NoticesQuery) -> Result<api::Notices, Error> {
        let api::NoticesQuery { session, wait_ms, posted } = query;
        let deadline = Instant::now() + Duration::from_millis(wait_ms.min(24 * 3600 * 1000));
        let mut stirred = self.stirred.subscribe();
        if !posted.is_empty() {
            self.store.posted(posted, now_ms()).await?;
        }
        loop {
            stirred.mark_unchanged();
            let due = self.due(&self.live(&session)?, None).await?;
            if !due.notices.is_empty() || Instant::now() >= deadline {
                return Ok(api::Notices { session, notices: due.notices });
            }
            let again = due.again.map(|at| Instant::now() + Duration::from_millis((at - now_ms()).unsigned_abs()));
            let until = again.map_or(deadline, |again| again.min(deadline));
            // Whoever is stopped, or waits in vain, looks a last time.
            let _ = tokio::time::timeout_at(until, stirred.changed()).await;
        }
    }

    /// Takes what a host says.
    pub(super) async fn event(
        self: &Arc<Self>,
        mesh: Option<&str>,
        event: api::SessionEvent,
    ) -> Result<api::SessionAnswer, Error> {
        let api::SessionEvent { host, event, mut seen, unguarded, may_hand } = event;
        seen.truncate(MOST_SEEN);
        let process = host.pid.filter(|pid| *pid > 1).map(Process::now);
        let known = self.registry().find(&host, process).map(|entry| entry.name.clone());
        let name = match known {
            Some(name) => name,
            None if event == HostEvent::SessionEnd => return Ok(api::SessionAnswer::default()),
            None => {
                let request = api::SessionRegister { host: host.clone(), name: None, route: None };
                self.register(mesh, request).await?.name
            }
        };
        let before = self.live(&name)?;
        let ended = {
            let mut registry = self.registry();
            let ended = registry.event(&name, host, event, now_ms());
            if let Some(entry) = registry.get_mut(&name) {
                if event == HostEvent::Prompt && seen.is_empty() {
                    entry.guard.user_spoke();
                }
                // The host went on after the hook that handed it over.
                seen.extend(entry.handed.take());
                entry.unguarded = unguarded.unwrap_or(entry.unguarded);
            }
            ended
        };
        if !seen.is_empty() {
            self.confirm(&before, seen).await?;
        }
        let after = self.registry().get(&name).cloned().unwrap_or_else(|| before.clone());
        let lasting = |entry: &Entry| (entry.host.clone(), entry.unguarded, entry.hooked, entry.ended, entry.confirmed);
        if lasting(&before) != lasting(&after) {
            self.keep(std::slice::from_ref(&name)).await?;
        }
        self.show_soon();
        self.stir();
        if ended {
            return Ok(api::SessionAnswer { session: Some(name), ..Default::default() });
        }
        let notice = if may_hand && after.route == Route::Hooks { self.hand(&after, event).await? } else { None };
        let unread = self.describe(&after).await?.unread;
        Ok(api::SessionAnswer { session: Some(name), notice, unread })
    }

    /// What a hook is to hand over. That it did is known by the next one.
    async fn hand(&self, entry: &Entry, event: HostEvent) -> Result<Option<api::Notice>, Error> {
        // A turn that begins is a boundary between turns.
        let doing = matches!(event, HostEvent::Prompt | HostEvent::SessionStart).then_some(Activity::Idle);
        let Some(notice) = self.due(entry, doing).await?.notices.into_iter().next() else { return Ok(None) };
        self.store.posted(vec![notice.id.clone()], now_ms()).await?;
        if let Some(entry) = self.registry().get_mut(&entry.name) {
            entry.handed = Some(notice.id.clone());
        }
        Ok(Some(notice))
    }

    /// The host took these notices.
    async fn confirm(&self, entry: &Entry, notices: Vec<String>) -> Result<(), Error> {
        let mut any = false;
        for mesh in self.meshes_of(entry.mesh.as_deref()).await {
            let told = self.store.told_by(mesh.store_row, entry.name.clone(), notices.clone()).await?;
            if told.is_empty() {
                continue;
            }
            any = true;
            let messages =
                told.iter().map(|(_, device, id)| (DeviceId::from_bytes(*device), MessageId::from_bytes(*id)));
            let command = Command::Claim {
                messages: messages.collect(),
                state: ClaimState::Injected,
                session: Some(entry.name.clone()),
            };
            let injected = Extra::Injected { messages: told.iter().map(|(inbox, ..)| *inbox).collect() };
            mesh.handle()?.command_with(command, vec![injected]).await?;
        }
        if any && let Some(entry) = self.registry().get_mut(&entry.name) {
            entry.confirmed = Some(now_ms());
        }
        Ok(())
    }

    /// Messages for a session, the oldest.
    pub(super) async fn take(&self, mesh: Option<&str>, query: api::TakeQuery) -> Result<api::Taken, Error> {
        let api::TakeQuery { session, limit, bytes } = query;
        let entry = {
            let mut registry = self.registry();
            let entry = registry.get_mut(&session).filter(|entry| entry.is_live());
            if let Some(entry) = entry {
                entry.call(now_ms());
            }
            registry.get(&session).filter(|entry| entry.is_live()).cloned()
        };
        let standing =
            Standing { status: Activity::Idle, unguarded: entry.as_ref().is_some_and(|entry| entry.unguarded) };
        let scope = mesh.or_else(|| entry.as_ref().and_then(|entry| entry.mesh.as_deref()));
        let meshes = self.meshes_of(scope).await;
        let mut taken = api::Taken::default();
        let (mut size, mut cut) = (0_u64, false);
        for active in &meshes {
            active.catch_up().await;
            if entry.is_some() && self.is_lead(&session, active) {
                self.store.adopt(active.store_row, session.clone()).await?;
            }
            let waiting = self.store.waiting(active.store_row, session.clone()).await?;
            let held = |row: &WaitingRow| {
                let asking = Asking { priority: view::priority(row.priority), permitted: row.permitted };
                gate(asking, standing) == Some(ClaimState::WaitsForPermission)
            };
            let mut counts = std::collections::BTreeMap::<[u8; 32], u64>::new();
            for row in waiting.iter().filter(|row| held(row)) {
                *counts.entry(row.member).or_default() += 1;
            }
            let mut rows: Vec<i64> = waiting.iter().filter(|row| !held(row)).map(|row| row.inbox).collect();
            let rest = rows.split_off(rows.len().min(limit.max(1) as usize));
            taken.more += rest.len() as u64;
            let items = self.store.items(rows).await?;
            let label = meshes.len() > 1;
            let (found, held) = active
                .look(move |session, row| {
                    let messages = items.into_iter().map(|item| api::Taking {
                        mesh: session.mesh().to_string(),
                        label: label.then(|| row.label.clone()),
                        message: view::message(session, row, item),
                    });
                    let held = counts.into_iter().map(|(member, count)| api::HeldFrom {
                        member: view::member_ref(session, row, &MemberId::from_bytes(member)),
                        count,
                    });
                    (messages.collect::<Vec<_>>(), held.collect::<Vec<_>>())
                })
                .await?;
            taken.held.extend(held);
            for message in found {
                let full = taken.messages.len() as u32 >= limit.max(1)
                    || (!taken.messages.is_empty() && size + message.message.body.len() as u64 > bytes);
                if full || cut {
                    cut = true;
                    taken.more += 1;
                } else {
                    size += message.message.body.len() as u64;
                    taken.messages.push(message);
                }
            }
        }
        Ok(taken)
    }

    /// Permits a member, or ends that; lists who may.
    pub(super) async fn permit(
        &self,
        mesh: &crate::node::Active,
        request: api::PermitRequest,
    ) -> Result<api::Permits, Error> {
        if let Some(text) = request.member {
            let member =
                mesh.look(move |session, row| crate::node::messages::resolve_member(session, row, &text)).await??;
            let (member, None) = member else {
                return Err(Error::new(ErrorKind::Usage, "a member is permitted, not one of its sessions")
                    .with_hint("leave out what follows the /"));
            };
            self.store.permit(mesh.store_row, *member.as_bytes(), !request.revoke).await?;
            self.stir();
        }
        let members = self.store.permitted(mesh.store_row).await?;
        let members = mesh
            .look(move |session, row| {
                members.into_iter().map(|id| view::member_ref(session, row, &MemberId::from_bytes(id))).collect()
            })
            .await?;
        Ok(api::Permits { members })
    }

    /// Somebody reads what is for no session in particular, until this is dropped.
    pub(in crate::node) fn reading(&self, session: &str) -> Option<super::Reading> {
        (session == crate::DEFAULT_SESSION).then(|| self.readers.begin())
    }
}
