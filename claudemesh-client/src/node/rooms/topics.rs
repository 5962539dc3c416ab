//! What takes more than one record: making, joining and leaving topics, writing to them.

use claudemesh_core::LogId;
use claudemesh_core::envelope::{Content, ContentBody};
use claudemesh_core::log::directory::DirectoryRecord;
use claudemesh_core::record::{RoomRecord, TopicMember, TopicRole};
use claudemesh_core::session::{Command, LogPolicy};

use super::{COMPLETION, PATIENCE, audience, pending};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::node::driver::{Once, now};
use crate::node::{Active, Node, wait_ready};
use crate::rooms::task::Step;
use crate::rooms::{self, Ground, Plan, group, is_general, post, task, topic};
use crate::service::MeshSelector;

impl Node {
    pub(super) async fn change_group(
        &self,
        mesh: MeshSelector<'_>,
        request: api::GroupChange,
        joined: bool,
    ) -> Result<api::Group, Error> {
        let mesh = self.mesh(mesh).await?;
        let answer = |db: &_, ground: &_, path: &_, _| group::one(db, ground, path);
        self.change(&mesh, None, move |db, ground| group::change(db, ground, &request, joined), answer).await
    }

    pub(super) async fn change_task(
        &self,
        mesh: MeshSelector<'_>,
        mut request: api::TaskChange,
        step: Step,
    ) -> Result<api::Task, Error> {
        let mesh = self.mesh(mesh).await?;
        let once = Once::named(request.request_id.take(), step.name(), &request)?;
        let id = request.id.clone();
        let about = move |db: &_, ground: &_| task::about(db, ground, &id, step);
        // Whoever claims wants to know at once; what cannot be written now is not promised.
        let plan = move |db: &_, ground: &_| task::change(db, ground, &request, step);
        self.change_once(&mesh, (once, true), about, plan, task::changed).await
    }

    pub(super) async fn create_topic(&self, mesh: &Active, request: api::TopicCreate) -> Result<api::Topic, Error> {
        let handle = self.live(mesh).await?;
        wait_ready(handle).await?;
        mesh.catch_up().await;
        let log = super::template::fresh_log();
        let private = request.private;
        let (new, own) =
            self.ask(mesh, move |db, ground| Ok((topic::create(db, ground, &request, log)?, ground.own))).await?;
        let audience = private.then(|| new.members.iter().copied().chain([own]).collect());
        let policy = LogPolicy { history: new.history, audience };
        handle.command(Command::OpenLog { log, policy }).await?;
        let name = new.info.name.to_string();
        let mut records: Vec<RoomRecord> = vec![new.info.into()];
        let others: Vec<_> = new.members.into_iter().filter(|member| *member != own).collect();
        records.extend(new.retention.map(Into::into));
        records.extend(others.iter().map(|member| TopicMember { member: *member, role: TopicRole::Member }.into()));
        for record in records {
            let Plan { record, .. } = Ground::plan(log, record, ())?;
            self.write(mesh, log, record, PATIENCE).await?.ok_or_else(|| pending(None))?;
        }
        if !others.is_empty() {
            handle.command(Command::InviteToLog { log, members: others }).await?;
        }
        if let Some(announcement) = new.announcement {
            let Plan { log: own_log, record, .. } = Ground::plan(LogId::of_mesh(&mesh.id), announcement, ())?;
            self.write(mesh, own_log, record, PATIENCE).await?.ok_or_else(|| pending(None))?;
        }
        let id = log.to_string();
        let made = self.ask(mesh, move |db, ground| topic::one(db, ground, &id, None)).await?;
        let wanted = name.clone();
        let named = self.ask(mesh, move |db, ground| topic::one(db, ground, &wanted, None)).await;
        if !private && named.is_ok_and(|topic| topic.id != made.id) {
            // Somebody else announced that name a moment before.
            handle.command(Command::CloseLog(log)).await?;
            return Err(Error::new(ErrorKind::Conflict, format!("there is a topic #{name} already"))
                .with_hint(format!("join it with `claudemesh topic join {name}`, or take another name")));
        }
        Ok(made)
    }

    pub(super) async fn join_topic(&self, mesh: &Active, name: String) -> Result<api::Topic, Error> {
        let handle = self.live(mesh).await?;
        wait_ready(handle).await?;
        mesh.catch_up().await;
        let text = name.clone();
        // A newcomer learns of the topics there are when it learns the keys of what was written before it came.
        let question = move |db: &_, ground: &Ground| match ground.topic(db, &text) {
            Ok(row) => Ok((Ok(row), ground.own)),
            Err(error) if ground.waits() => Ok((Err(ground.unless_unread(error)), ground.own)),
            Err(error) => Err(error),
        };
        let wait_ms = COMPLETION.as_millis() as u64;
        let (found, own) = self.ask_until(mesh, wait_ms, question, |(found, _)| found.is_ok()).await?;
        let row = found?;
        let log = row.log;
        if !row.followed {
            handle.command(Command::OpenLog { log, policy: LogPolicy::OPEN }).await?;
        }
        let inside = is_general(&row.name) || (row.followed && row.role != TopicRole::None);
        if !inside {
            let Plan { record, .. } = Ground::plan(log, TopicMember { member: own, role: TopicRole::Member }, ())?;
            self.write(mesh, log, record, PATIENCE).await?.ok_or_else(|| pending(None))?;
        }
        self.ask(mesh, move |db, ground| topic::one(db, ground, &name, None)).await
    }

    pub(super) async fn leave_topic(&self, mesh: &Active, name: String) -> Result<api::Topic, Error> {
        let handle = self.live(mesh).await?;
        let text = name.clone();
        let (place, own) = self.ask(mesh, move |db, ground| Ok((ground.joined(db, &text)?, ground.own))).await?;
        if !place.topic.as_deref().is_some_and(is_general) {
            wait_ready(handle).await?;
            let change = TopicMember { member: own, role: TopicRole::None };
            let Plan { record, .. } = Ground::plan(place.log, change, ())?;
            let at = self.write(mesh, place.log, record, PATIENCE).await?.ok_or_else(|| pending(None))?;
            self.ask(mesh, move |db, _| rooms::effective(db, place.room, at)).await?;
        }
        handle.command(Command::CloseLog(place.log)).await?;
        self.ask(mesh, move |db, ground| topic::one(db, ground, &name, None)).await
    }

    pub(super) async fn change_topic_member(
        &self,
        mesh: &Active,
        request: api::TopicMemberChange,
    ) -> Result<api::TopicMembers, Error> {
        let handle = self.live(mesh).await?;
        wait_ready(handle).await?;
        mesh.catch_up().await;
        let role = topic::core_role(request.role);
        let api::TopicMemberChange { topic: name, member, .. } = request;
        let text = name.clone();
        let Plan { log, record, about: (row, member), .. } =
            self.ask(mesh, move |db, ground| topic::change(db, ground, &text, &member, role)).await?;
        let at = self.write(mesh, log, record, PATIENCE).await?.ok_or_else(|| pending(None))?;
        self.ask(mesh, move |db, ground| rooms::effective(db, rooms::room(db, ground.mesh, &log)?, at)).await?;
        if row.private {
            let mut members = audience(mesh, log).await?.unwrap_or_default();
            // Who is out by its own doing already is shut out all the same, and at once.
            let changed = role == TopicRole::None || !members.contains(&member);
            if role == TopicRole::None {
                members.remove(&member)
            } else {
                members.insert(member)
            };
            if changed {
                let history = mesh.look(move |session, _| session.log_history(&log)).await?;
                let policy = LogPolicy { history, audience: Some(members) };
                handle.command(Command::OpenLog { log, policy }).await?;
            }
            if role != TopicRole::None {
                handle.command(Command::InviteToLog { log, members: vec![member] }).await?;
            }
        }
        self.ask(mesh, move |db, ground| topic::members(db, ground, &ground.joined(db, &name)?)).await
    }

    pub(in crate::node) async fn post(&self, mesh: &Active, request: api::PostRequest) -> Result<api::Posted, Error> {
        let arrangement = self.live(mesh).await?.shared.arrangement();
        mesh.catch_up().await;
        // Only ids that the caller chose can come twice.
        let named = request.id.is_some().then(|| request.clone());
        let Plan { log, record, about, .. } = match mesh.known.place(arrangement, &request.topic) {
            Some(place) if post::stands_alone(&request) => post::write_to(place, now().0, &request)?,
            _ => {
                let topic = request.topic.clone();
                let plan = self.ask(mesh, move |db, ground| post::write(db, ground, &request)).await?;
                mesh.known.put(arrangement, |known| drop(known.places.insert(topic, plan.about.place.clone())));
                plan
            }
        };
        let topic = about.place.topic.unwrap_or_default();
        let at = match about.known {
            Some(at) => Some(at),
            None => {
                let once = named.map(|post| Once::named(post.id, "post", &(&topic, post.text, post.reply_to)));
                self.say(mesh, once.transpose()?.flatten(), (log, record)).await?
            }
        };
        Ok(api::Posted {
            id: about.id.to_string(),
            topic,
            state: if at.is_some() { api::State::Accepted } else { api::State::Queued },
            at: at.map(rooms::show_at),
        })
    }

    /// Says something to everyone: an entry of the mesh's own log.
    pub(in crate::node) async fn broadcast(
        &self,
        mesh: &Active,
        request: api::SendRequest,
    ) -> Result<api::Sent, Error> {
        self.live(mesh).await?;
        let id = rooms::id_or_new(request.id.as_deref(), now().0)?;
        let reply_to = request.reply_to.as_deref().map(crate::address::message_id).transpose()?;
        let priority = crate::node::messages::core_priority(request.priority);
        let once = Once::named(request.id, "broadcast", &(&request.text, request.reply_to, request.priority))?;
        let record = mesh
            .look(move |session, _| {
                let acting = session.acting_devices();
                let content = Content {
                    acting: if acting.is_empty() { vec![session.device()] } else { acting },
                    target_session: None,
                    sending_session: request.session,
                    sent_at: now(),
                    priority,
                    reply_to,
                    hops: 0,
                    addressed: Vec::new(),
                    body: ContentBody::Text(request.text),
                };
                content
                    .encode()
                    .ok()
                    .map(|bytes| DirectoryRecord::Broadcast { id, content: bytes.to_vec().into() }.encode())
            })
            .await?
            .ok_or_else(|| {
                Error::new(ErrorKind::Usage, "the message is empty or too long for everyone")
                    .with_hint("64 KiB at most")
            })?;
        if record.data.len() > 96 * 1024 {
            return Err(
                Error::new(ErrorKind::Usage, "a message to everyone has 64 KiB at most").with_hint("send it in parts")
            );
        }
        let at = self.say(mesh, once, (LogId::of_mesh(&mesh.id), record)).await?;
        let state = if at.is_some() { api::State::Accepted } else { api::State::Queued };
        Ok(api::Sent { id: id.to_string(), state, to: Vec::new(), reason: None, session: None })
    }
}
