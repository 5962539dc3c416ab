//! Sending, waiting, reading.

use std::time::Duration;

use claudemesh_core::address::{Address, Candidate};
use claudemesh_core::envelope::{ClaimState, Priority};
use claudemesh_core::hash::Label;
use claudemesh_core::session::{Command, Outgoing, Session};
use claudemesh_core::{DeviceId, MemberId, MessageId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::driver::{Addressed, Compose, Order, now, rng};
use super::{Active, Node, view};
use crate::address::{choose, message_id};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::rooms::{group, post};
use crate::store::{MeshRow, MessageRow};

/// Seconds a message may wait unless said otherwise.
const DEFAULT_TTL: u64 = 7 * 24 * 3600;
const FINGERPRINT: Label = Label::new("client-fingerprint");

/// The member and session an address names, among the live members but the caller.
pub(super) fn resolve_member(
    session: &Session,
    row: &MeshRow,
    text: &str,
) -> Result<(MemberId, Option<String>), Error> {
    let address: Address = text.parse().map_err(|error| {
        Error::new(ErrorKind::Usage, format!("{text:?} is no address: {error}"))
            .with_hint("use a name (bob), a name and session (bob/api), or 8 or more digits of a key")
    })?;
    let Address::Member { member, session: target } = address else {
        return Err(Error::new(ErrorKind::Usage, format!("{text:?} is not a person"))
            .with_hint("name one member: see `claudemesh peers`"));
    };
    let names = view::Names::new(session, row);
    let candidates = session.roster().members().filter(|member| member.is_live()).map(|member| Candidate {
        member: member.id,
        name: names.get(&member.id),
        devices: &member.devices,
    });
    let id = choose(candidates, &member, text)?;
    Ok((id, target.map(|session| session.as_str().to_owned())))
}

pub(super) fn core_priority(priority: api::Priority) -> Priority {
    match priority {
        api::Priority::Now => Priority::Now,
        api::Priority::Next => Priority::Next,
        api::Priority::Low => Priority::Low,
    }
}

fn check_text(text: &str, limit: u64) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "the message is empty").with_hint("give it some text"));
    }
    if text.len() as u64 > limit {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("the message has {} bytes; the limit is {limit} bytes ({} KiB)", text.len(), limit / 1024),
        )
        .with_hint("send it in parts"));
    }
    Ok(())
}

fn one_member(session: &Session, row: &MeshRow, to: &str) -> Result<(Vec<MemberId>, Option<String>), Error> {
    let (member, target) = resolve_member(session, row, to)?;
    if member == session.member() {
        return Err(Error::new(ErrorKind::Usage, "that is you: a message to yourself goes nowhere")
            .with_hint("see `claudemesh peers` for the others"));
    }
    Ok((vec![member], target))
}

/// The message a request asks for, and whom it goes to.
fn compose(
    session: &Session,
    row: &MeshRow,
    (to, target): (Vec<MemberId>, Option<String>),
    request: api::SendRequest,
    id: MessageId,
    reply_to: Option<MessageId>,
) -> Result<(Outgoing, Addressed), Error> {
    let limits = session.limits();
    check_text(&request.text, limits.max_text)?;
    let ttl = request.ttl.unwrap_or(DEFAULT_TTL);
    if ttl == 0 || ttl > limits.max_ttl {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("a message may wait between 1 second and {} days", limits.max_ttl / 86400),
        )
        .with_hint("for example --ttl 7d"));
    }
    let priority = core_priority(request.priority);
    let outgoing = Outgoing {
        id,
        to,
        session: target,
        from_session: request.session,
        text: request.text,
        priority,
        reply_to,
        ttl: ttl * 1000,
    };
    let to = outgoing.to.iter().map(|member| view::member_ref(session, row, member)).collect();
    let lead = || outgoing.to.first().filter(|_| outgoing.to.len() == 1).and_then(|to| view::lead(session, to));
    let addressed = Addressed { to, session: outgoing.session.clone().or_else(lead) };
    Ok((outgoing, addressed))
}

/// A message that is in a log, and addressed to nobody by name.
fn unaddressed(id: MessageId, state: api::State) -> api::Sent {
    api::Sent { id: id.to_string(), state, to: Vec::new(), reason: None, session: None }
}

fn fingerprint(message: &Outgoing) -> [u8; 32] {
    FINGERPRINT.hash(&[
        message.to.iter().flat_map(|member| *member.as_bytes()).collect::<Vec<u8>>().as_slice(),
        &message.reply_to.map(|id| *id.as_bytes()).unwrap_or_default(),
        message.session.as_deref().unwrap_or_default().as_bytes(),
        &[0],
        message.text.as_bytes(),
    ])
}

impl Node {
    pub(super) async fn send_text(&self, mesh: &Active, request: api::SendRequest) -> Result<api::Sent, Error> {
        let again = (!mesh.has_caught_up()).then(|| request.clone());
        match (self.send_once(mesh, request).await, again) {
            // Whoever has just joined learns the names of others in a moment.
            (Err(error), Some(request)) if error.kind() == ErrorKind::NotFound => {
                mesh.catch_up().await;
                self.send_once(mesh, request).await
            }
            (sent, _) => sent,
        }
    }

    async fn send_once(&self, mesh: &Active, request: api::SendRequest) -> Result<api::Sent, Error> {
        let [to] = &request.to[..] else {
            return Err(
                Error::new(ErrorKind::Usage, "a message goes to exactly one address").with_hint("name one recipient")
            );
        };
        self.live(mesh).await?;
        let to = to.clone();
        let group = match to.parse() {
            Ok(Address::Everyone) => return self.broadcast(mesh, request).await,
            Ok(Address::Topic(topic)) => return self.post_message(mesh, topic.as_str(), request).await,
            Ok(Address::Group(path)) => {
                Some(self.ask(mesh, move |db, ground| group::reached(db, ground, &path)).await?)
            }
            _ => None,
        };
        let reply_to = request.reply_to.as_deref().map(message_id).transpose()?;
        let named = request.id.as_deref().map(message_id).transpose()?;
        let id = named.unwrap_or_else(|| MessageId::generate(now(), &mut rng()));
        let row = mesh.row();
        let compose = move |session: &Session| {
            let target = match group {
                Some(members) => (members, None),
                None => one_member(session, &row, &to)?,
            };
            compose(session, &row, target, request, id, reply_to)
        };
        let Some(id) = named else {
            return self.send_composed(mesh, id, None, Box::new(compose)).await;
        };
        // Only ids that the caller chose can come twice.
        let _sending = mesh.sending.lock().await;
        let (outgoing, names) = mesh.handle()?.look(compose).await??;
        let fingerprint = fingerprint(&outgoing);
        match self.store.fingerprint(mesh.store_row, *id.as_bytes()).await? {
            Some(known) if known == fingerprint => self.sent(mesh, id).await,
            Some(_) => Err(Error::new(ErrorKind::Conflict, format!("{id} was sent before with other content"))
                .with_hint("use a new id for a new message")),
            None => self.send_composed(mesh, id, Some(fingerprint), Box::new(move |_| Ok((outgoing, names)))).await,
        }
    }

    async fn send_composed(
        &self,
        mesh: &Active,
        id: MessageId,
        fingerprint: Option<[u8; 32]>,
        compose: Compose,
    ) -> Result<api::Sent, Error> {
        let (reply, answer) = oneshot::channel();
        mesh.handle()?.order(Order::Send { compose, fingerprint, reply }).await?;
        let (Addressed { to, session }, eventful) =
            answer.await.map_err(|_| Error::new(ErrorKind::Internal, "the mesh stopped while sending"))??;
        if !eventful {
            // The store has nothing to add, and asking it would wait behind the next commit.
            return Ok(api::Sent { id: id.to_string(), state: api::State::Queued, to, reason: None, session });
        }
        self.sent(mesh, id).await
    }

    /// A message to a topic is a post.
    async fn post_message(&self, mesh: &Active, topic: &str, request: api::SendRequest) -> Result<api::Sent, Error> {
        let api::SendRequest { text, id, reply_to, session, .. } = request;
        let posted = self.post(mesh, api::PostRequest { topic: topic.into(), text, id, reply_to, session }).await?;
        Ok(api::Sent { id: posted.id, state: posted.state, to: Vec::new(), reason: None, session: None })
    }

    async fn rows(&self, mesh: &Active, id: MessageId) -> Result<Vec<MessageRow>, Error> {
        let rows = self.store.message(mesh.store_row, *id.as_bytes()).await?;
        if rows.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, format!("no message {id} was sent from here"))
                .with_hint("`send --json` prints the id of what it sent"));
        }
        Ok(rows)
    }

    async fn sent(&self, mesh: &Active, id: MessageId) -> Result<api::Sent, Error> {
        let rows = self.rows(mesh, id).await?;
        Self::sent_as(mesh, id, rows).await
    }

    async fn sent_as(mesh: &Active, id: MessageId, rows: Vec<MessageRow>) -> Result<api::Sent, Error> {
        let (state, reason) = view::overall(&rows);
        let (to, session) = mesh
            .look(move |session, row| {
                let to = rows.iter().map(|r| view::member_ref(session, row, &MemberId::from_bytes(r.member))).collect();
                let of_one = |r: &MessageRow| {
                    let lead = || view::lead(session, &MemberId::from_bytes(r.member));
                    r.session.clone().or_else(|| if r.state.rank() <= 3 { lead() } else { None })
                };
                (to, rows.first().filter(|_| rows.len() == 1).and_then(of_one))
            })
            .await?;
        Ok(api::Sent { id: id.to_string(), state, to, reason, session })
    }

    /// How far a message to a topic or to everyone has got: waiting to be written, or in the log.
    async fn room_state(&self, mesh: &Active, id: MessageId) -> Result<Option<api::State>, Error> {
        if mesh.look(move |session, _| session.is_writing(id.as_bytes())).await? {
            return Ok(Some(api::State::Queued));
        }
        let written = self.ask(mesh, move |db, ground| post::is_written(db, ground, &id)).await?;
        Ok(written.then_some(api::State::Accepted))
    }

    pub(super) async fn wait_for(&self, mesh: &Active, request: api::WaitRequest) -> Result<api::Sent, Error> {
        let id = message_id(&request.id)?;
        let deadline = Instant::now() + Duration::from_millis(request.timeout_ms.min(24 * 3600 * 1000));
        let mut committed = mesh.handle()?.shared.committed.subscribe();
        loop {
            committed.mark_unchanged();
            let rows = match self.rows(mesh, id).await {
                Ok(rows) => rows,
                Err(unknown) => match self.room_state(mesh, id).await? {
                    // A message to a topic or to everyone gets no further than its log.
                    Some(api::State::Queued) => match tokio::time::timeout_at(deadline, committed.changed()).await {
                        Ok(Ok(())) => continue,
                        _ => return Ok(unaddressed(id, api::State::Queued)),
                    },
                    Some(state) => return Ok(unaddressed(id, state)),
                    None => return Err(unknown),
                },
            };
            let (state, _) = view::overall(&rows);
            if state.reached(request.state) || state.is_failure() {
                return Self::sent_as(mesh, id, rows).await;
            }
            match tokio::time::timeout_at(deadline, committed.changed()).await {
                Ok(Ok(())) => {}
                _ => return self.sent(mesh, id).await,
            }
        }
    }

    pub(super) async fn status_of(&self, mesh: &Active, id: &str) -> Result<api::MessageStatus, Error> {
        let id = message_id(id)?;
        let rows = self.rows(mesh, id).await?;
        let (state, _) = view::overall(&rows);
        let recipients = mesh
            .look(move |session, mesh_row| {
                let one = |row: &MessageRow| {
                    let (state, reason) = view::recipient(row);
                    api::RecipientStatus {
                        member: view::member_ref(session, mesh_row, &MemberId::from_bytes(row.member)),
                        device: DeviceId::from_bytes(row.device).to_string(),
                        state,
                        at: view::time(row.at),
                        reason,
                        session: row.session.clone(),
                    }
                };
                rows.iter().map(one).collect()
            })
            .await?;
        Ok(api::MessageStatus { id: id.to_string(), state, recipients })
    }

    pub(super) async fn read_inbox(&self, mesh: &Active, query: api::InboxQuery) -> Result<api::Inbox, Error> {
        let session = query.session.unwrap_or_else(|| crate::DEFAULT_SESSION.into());
        let limit = query.limit.clamp(1, 10_000);
        let deadline = Instant::now() + Duration::from_millis(query.wait_ms.min(24 * 3600 * 1000));
        self.note_end(mesh).await?;
        mesh.catch_up().await;
        // Nothing comes any more for a mesh that has ended.
        let waits = query.wait_ms > 0 && mesh.is_active();
        let _reading = if waits { self.hosts.reading(&session) } else { None };
        let mut committed = mesh.handle.as_ref().map(|handle| handle.shared.committed.subscribe());
        loop {
            if let Some(committed) = &mut committed {
                committed.mark_unchanged();
            }
            let unread = query.unread || query.wait_ms > 0;
            let items = self.store.inbox(mesh.store_row, session.clone(), unread, limit).await?;
            let arrived = match &mut committed {
                Some(committed) if items.is_empty() && waits => {
                    tokio::time::timeout_at(deadline, committed.changed()).await.is_ok_and(|changed| changed.is_ok())
                }
                _ => false,
            };
            if !arrived {
                let messages = mesh
                    .look(move |session, row| items.into_iter().map(|item| view::message(session, row, item)).collect())
                    .await?;
                return Ok(api::Inbox { messages });
            }
        }
    }

    pub(super) async fn mark(&self, mesh: &Active, request: api::ReadRequest) -> Result<(), Error> {
        let mut names = Vec::with_capacity(request.messages.len());
        for name in &request.messages {
            let member: MemberId = name.member.parse().map_err(|error| {
                Error::new(ErrorKind::Usage, format!("{:?} is no member id", name.member)).with_source(error)
            })?;
            names.push((*member.as_bytes(), *message_id(&name.id)?.as_bytes()));
        }
        let unread = self.store.senders(mesh.store_row, names).await?;
        if unread.is_empty() {
            return Ok(());
        }
        let read = unread.iter().map(|(device, id)| (DeviceId::from_bytes(*device), MessageId::from_bytes(*id)));
        let command = Command::Claim { messages: read.collect(), state: ClaimState::Read, session: request.session };
        mesh.handle()?.command(command).await
    }
}
