//! The calls of [`Service`] on the far end.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::{Fake, MAIN, NOW, Outgoing, State};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::service::{Call, MeshSelector, Service};

impl Fake {
    pub(super) fn reply<'a, T: Send + 'a>(
        &'a self,
        call: impl FnOnce(&mut State) -> Result<T, Error> + Send + 'a,
    ) -> Call<'a, T> {
        async move { self.answer(call) }.boxed()
    }

    /// Looks until something is there or the time is over; the last look is the answer.
    pub(super) async fn look<T>(
        &self,
        time: u64,
        mut look: impl FnMut(&mut State) -> Result<(bool, T), Error>,
    ) -> Result<T, Error> {
        let mut changed = self.inner.changed.subscribe();
        let end = tokio::time::sleep(Duration::from_millis(time));
        tokio::pin!(end);
        loop {
            changed.mark_unchanged();
            let (done, value) = look(&mut self.state())?;
            if done {
                return Ok(value);
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = &mut end => return Ok(value),
            }
        }
    }

    fn next_record(&self, mesh: &str, session: &str, after: &mut u64) -> Option<api::EventRecord> {
        let mut state = self.state();
        let mesh = state.mesh(Some(mesh)).ok()?;
        let oldest = mesh.feed.front().map_or(mesh.position + 1, |record| record.position);
        if *after + 1 < oldest {
            let missed = oldest - 1 - *after;
            *after = oldest - 1;
            return Some(api::EventRecord { position: *after, event: api::Event::Lagged { missed } });
        }
        let wanted = |record: &&api::EventRecord| match &record.event {
            api::Event::Message { message } => message.session == session,
            _ => true,
        };
        let record = mesh.feed.iter().filter(|record| record.position > *after).find(wanted)?.clone();
        *after = record.position;
        Some(record)
    }
}

impl Service for Fake {
    fn status(&self) -> Call<'_, api::Status> {
        self.reply(|state| {
            let meshes = state.meshes.iter().map(|mesh| api::MeshStatus {
                mesh: mesh.info.clone(),
                queued: 0,
                writing: 0,
                held: 0,
                unread: mesh.inbox.iter().filter(|message| !message.read).count() as u64,
                roster_index: mesh.members.len() as u64 - 1,
                roster_hash: "00".repeat(32),
                round_trip_ms: Some(0.5),
                warnings: mesh.warnings.clone(),
                last_error: None,
                hints: None,
                missing: Vec::new(),
            });
            Ok(api::Status {
                version: env!("CARGO_PKG_VERSION").into(),
                pid: std::process::id(),
                home: "memory".into(),
                embedded_broker: None,
                meshes: meshes.collect(),
            })
        })
    }

    fn up(&self, request: api::UpRequest) -> Call<'_, api::UpReply> {
        self.reply(move |state| {
            let label = request.mesh.unwrap_or_else(|| "main".into());
            let created = !state.meshes.iter().any(|mesh| mesh.info.label == label);
            if created {
                state.add_mesh(&label, request.name.as_deref().unwrap_or("me"), "owner");
            }
            let who = state.mesh(Some(&label))?.whoami();
            let recovery_key = created.then(|| "recovery".into());
            Ok(api::UpReply {
                mesh: who.mesh,
                broker: who.broker,
                member: who.member,
                link: None,
                recovery_key,
                created,
                template: None,
            })
        })
    }

    fn join(&self, request: api::JoinRequest) -> Call<'_, api::JoinReply> {
        self.reply(move |state| {
            let Some((_, label)) = request.link.split_once('#') else {
                return Err(Error::new(ErrorKind::Usage, "this is no invite link"));
            };
            let id = state.add_mesh(label, request.name.as_deref().unwrap_or("me"), "member");
            let who = state.mesh(Some(&id))?.whoami();
            Ok(api::JoinReply { mesh: who.mesh, member: who.member, invited_by: None })
        })
    }

    fn meshes(&self) -> Call<'_, api::Meshes> {
        self.reply(|state| Ok(api::Meshes { meshes: state.meshes.iter().map(|mesh| mesh.info.clone()).collect() }))
    }

    fn warnings<'a>(&'a self, mesh: MeshSelector<'a>) -> BoxFuture<'a, Vec<String>> {
        let warnings = self.state().mesh(mesh).map(|mesh| mesh.warnings.clone());
        async move { warnings.unwrap_or_default() }.boxed()
    }

    fn mesh_use<'a>(&'a self, mesh: &'a str) -> Call<'a, api::MeshInfo> {
        self.reply(move |state| {
            let id = state.mesh(Some(mesh))?.info.id.clone();
            for mesh in &mut state.meshes {
                mesh.info.selected = mesh.info.id == id;
            }
            state.selected = Some(id);
            Ok(state.mesh(None)?.info.clone())
        })
    }

    fn mesh_rename<'a>(&'a self, mesh: &'a str, label: &'a str) -> Call<'a, api::MeshInfo> {
        self.reply(move |state| {
            let mesh = state.mesh(Some(mesh))?;
            mesh.info.label = label.into();
            Ok(mesh.info.clone())
        })
    }

    fn mesh_leave<'a>(&'a self, mesh: &'a str) -> Call<'a, api::MeshInfo> {
        self.reply(move |state| {
            let mut info = state.mesh(Some(mesh))?.info.clone();
            state.meshes.retain(|mesh| mesh.info.id != info.id);
            info.state = "left".into();
            Ok(info)
        })
    }

    fn mesh_delete<'a>(&'a self, mesh: &'a str) -> Call<'a, api::MeshInfo> {
        self.reply(move |state| {
            let mesh = state.mesh(Some(mesh))?;
            if mesh.info.role != "owner" {
                return Err(Error::new(ErrorKind::Refused, "only an owner can close a mesh"));
            }
            mesh.info.state = "closed".into();
            Ok(mesh.info.clone())
        })
    }

    fn whoami<'a>(&'a self, mesh: MeshSelector<'a>) -> Call<'a, api::WhoAmI> {
        self.reply(move |state| Ok(state.mesh(mesh)?.whoami()))
    }

    fn invite<'a>(&'a self, mesh: MeshSelector<'a>, request: api::InviteRequest) -> Call<'a, api::Invite> {
        self.reply(move |state| {
            let id = state.hex();
            let mesh = state.mesh(mesh)?;
            let invite = api::Invite {
                link: Some(format!("http://127.0.0.1:1/i#{}", mesh.info.label)),
                id,
                expires_at: NOW.into(),
                uses: request.uses,
                used: 0,
                state: "open".into(),
                role: request.role,
                by: mesh.info.member.clone(),
                warning: None,
            };
            mesh.invites.push(invite.clone());
            Ok(invite)
        })
    }

    fn invites<'a>(&'a self, mesh: MeshSelector<'a>) -> Call<'a, api::Invites> {
        self.reply(move |state| Ok(api::Invites { invites: state.mesh(mesh)?.invites.clone() }))
    }

    fn invite_revoke<'a>(&'a self, mesh: MeshSelector<'a>, id: &'a str) -> Call<'a, api::Invite> {
        self.reply(move |state| {
            let invite = state.mesh(mesh)?.invites.iter_mut().find(|invite| invite.id.starts_with(id));
            let invite = invite.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such invite"))?;
            invite.state = "closed".into();
            Ok(invite.clone())
        })
    }

    fn send<'a>(&'a self, mesh: MeshSelector<'a>, request: api::SendRequest) -> Call<'a, api::Sent> {
        let call = move |state: &mut State| {
            let (fresh, confirmed) = (state.uuid(), state.confirmed);
            let reached: Vec<_> =
                request.to.iter().map(|address| state.reached(mesh, address)).collect::<Result<_, _>>()?;
            let mesh = state.mesh(mesh)?;
            let id = request.id.clone().unwrap_or(fresh);
            if let Some(sent) = mesh.sent.iter().find(|sent| sent.status.id == id) {
                return if sent.request.text == request.text && sent.request.to == request.to {
                    mesh.sent(&id)
                } else {
                    Err(Error::new(ErrorKind::Conflict, "this id belongs to another message"))
                };
            }
            if request.text.is_empty() {
                return Err(Error::new(ErrorKind::Usage, "the text is empty"));
            }
            let mut recipients = Vec::new();
            for name in reached.iter().flatten() {
                let member = mesh.find(name)?;
                recipients.push(api::RecipientStatus {
                    member: api::MemberRef { id: member.id.clone(), name: member.name.clone() },
                    device: member.devices.first().cloned().unwrap_or_default(),
                    state: api::State::Queued,
                    at: NOW.into(),
                    reason: None,
                    session: None,
                });
            }
            let status = api::MessageStatus { id: id.clone(), state: api::State::Queued, recipients };
            mesh.sent.push(Outgoing { request, status });
            let sent = mesh.sent(&id);
            if let Some(to) = confirmed {
                mesh.advance(&id, to, None);
            }
            sent
        };
        async move {
            if *self.inner.paused.borrow() {
                let _ = self.inner.paused.subscribe().wait_for(|paused| !paused).await;
            }
            self.answer(call)
        }
        .boxed()
    }

    fn wait<'a>(&'a self, mesh: MeshSelector<'a>, request: api::WaitRequest) -> Call<'a, api::Sent> {
        async move {
            self.answer(|_| Ok(()))?;
            self.look(request.timeout_ms, |state| {
                let sent = state.mesh(mesh)?.sent(&request.id)?;
                Ok((sent.state.is_failure() || sent.state.reached(request.state), sent))
            })
            .await
        }
        .boxed()
    }

    fn message_status<'a>(&'a self, mesh: MeshSelector<'a>, id: &'a str) -> Call<'a, api::MessageStatus> {
        self.reply(move |state| {
            let sent = state.mesh(mesh)?.sent.iter().find(|sent| sent.status.id == id);
            Ok(sent.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such message"))?.status.clone())
        })
    }

    fn inbox<'a>(&'a self, mesh: MeshSelector<'a>, query: api::InboxQuery) -> Call<'a, api::Inbox> {
        async move {
            self.answer(|_| Ok(()))?;
            let session = query.session.as_deref().unwrap_or(MAIN);
            self.look(query.wait_ms, |state| {
                let inbox = &state.mesh(mesh)?.inbox;
                let mut messages: Vec<_> = inbox
                    .iter()
                    .filter(|message| message.session == session && !(query.unread && message.read))
                    .cloned()
                    .collect();
                messages.drain(..messages.len().saturating_sub(query.limit as usize));
                Ok((!messages.is_empty(), api::Inbox { messages }))
            })
            .await
        }
        .boxed()
    }

    fn mark_read<'a>(&'a self, mesh: MeshSelector<'a>, request: api::ReadRequest) -> Call<'a, ()> {
        self.reply(move |state| {
            let mesh = state.mesh(mesh)?;
            for name in request.messages {
                let message = mesh.inbox.iter_mut().find(|message| message.id == name.id);
                message.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such message"))?.read = true;
            }
            Ok(())
        })
    }

    fn peers<'a>(&'a self, mesh: MeshSelector<'a>, all: bool) -> Call<'a, api::Peers> {
        self.reply(move |state| {
            let mesh = state.mesh(mesh)?;
            let members = mesh.members.iter().filter(|member| all || member.live);
            let peers = members.map(|member| api::Peer {
                member: member.id.clone(),
                name: member.name.clone(),
                role: member.role.clone(),
                kind: member.kind.clone(),
                online: member.live,
                status: api::Activity::Idle,
                summary: None,
                devices: member.devices.clone(),
                sessions: Vec::new(),
                last_seen: None,
                own: member.id == mesh.info.member.id,
                live: member.live,
            });
            Ok(api::Peers { peers: peers.collect() })
        })
    }

    fn set_presence<'a>(&'a self, mesh: MeshSelector<'a>, request: api::PresenceRequest) -> Call<'a, api::WhoAmI> {
        self.reply(move |state| {
            let mesh = state.mesh(mesh)?;
            mesh.status = request.status.unwrap_or(mesh.status);
            if let Some(summary) = request.summary {
                mesh.summary = Some(summary).filter(|summary| !summary.is_empty());
            }
            Ok(mesh.whoami())
        })
    }

    fn members<'a>(&'a self, mesh: MeshSelector<'a>) -> Call<'a, api::Members> {
        self.reply(move |state| Ok(api::Members { members: state.mesh(mesh)?.members.clone() }))
    }

    fn member_remove<'a>(&'a self, mesh: MeshSelector<'a>, member: &'a str) -> Call<'a, api::MemberChange> {
        self.reply(move |state| {
            let member = state.mesh(mesh)?.find(member)?;
            member.live = false;
            Ok(api::MemberChange { member: Some(member.clone()), closed_invites: Vec::new() })
        })
    }

    fn member_role<'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        member: &'a str,
        role: &'a str,
    ) -> Call<'a, api::MemberChange> {
        self.reply(move |state| {
            let member = state.mesh(mesh)?.find(member)?;
            member.role = role.into();
            Ok(api::MemberChange { member: Some(member.clone()), closed_invites: Vec::new() })
        })
    }

    fn events<'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        query: api::EventsQuery,
    ) -> Call<'a, BoxStream<'static, Result<api::EventRecord, Error>>> {
        self.reply(move |state| {
            let mesh = state.mesh(mesh)?;
            let session = query.session.unwrap_or_else(|| MAIN.into());
            let start = match query.consumer {
                Some(consumer) => *mesh.consumers.entry(consumer).or_insert(mesh.position),
                None => mesh.position,
            };
            let (mesh, after) = (mesh.info.id.clone(), query.after.unwrap_or(start));
            let changed = self.inner.changed.subscribe();
            let feed = (self.clone(), changed, after);
            Ok(stream::unfold(feed, move |(fake, mut changed, mut after)| {
                let (mesh, session) = (mesh.clone(), session.clone());
                async move {
                    loop {
                        changed.mark_unchanged();
                        if let Some(record) = fake.next_record(&mesh, &session, &mut after) {
                            return Some((Ok(record), (fake, changed, after)));
                        }
                        changed.changed().await.ok()?;
                    }
                }
            })
            .boxed())
        })
    }

    fn ack<'a>(&'a self, mesh: MeshSelector<'a>, request: api::AckRequest) -> Call<'a, ()> {
        self.reply(move |state| {
            let mesh = state.mesh(mesh)?;
            let position = mesh.consumers.entry(request.consumer).or_default();
            *position = request.position.max(*position);
            Ok(())
        })
    }

    /// The far end has nothing to stop; a test may go on with it.
    fn shutdown(&self) -> Call<'_, ()> {
        self.reply(|_| Ok(()))
    }
}
