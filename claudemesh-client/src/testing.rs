//! A far end in memory: a [`Service`] without a network, for tests and examples of programs that use the SDK.
//!
//! It keeps messages, members, invites and events as the real one reports them, and does nothing by itself: the test
//! says what peers do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use claudemesh_core::MessageId;
use tokio::sync::watch;

use crate::api;
use crate::error::{Error, ErrorKind};
use crate::mesh::Mesh;
use crate::service::{MeshSelector, Service};

mod rooms;
mod service;
mod sessions;

pub use crate::node::held::{Depth, Held, depth};

const NOW: &str = "2026-01-01T00:00:00Z";
const MAIN: &str = "main";

/// The far end. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Fake {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    paused: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    meshes: Vec<FakeMesh>,
    selected: Option<String>,
    failures: VecDeque<Error>,
    confirmed: Option<api::State>,
    counter: u64,
    calls: u64,
    sessions: crate::sessions::Registry,
    limits: api::SessionLimits,
}

#[derive(Debug)]
struct FakeMesh {
    info: api::MeshInfo,
    members: Vec<api::MemberInfo>,
    status: api::Activity,
    summary: Option<String>,
    sent: Vec<Outgoing>,
    inbox: Vec<api::Message>,
    invites: Vec<api::Invite>,
    feed: VecDeque<api::EventRecord>,
    position: u64,
    consumers: BTreeMap<String, u64>,
    rooms: Option<rooms::Folded>,
    warnings: Vec<String>,
    permitted: Vec<api::MemberRef>,
}

#[derive(Debug)]
struct Outgoing {
    request: api::SendRequest,
    status: api::MessageStatus,
}

impl Fake {
    /// A home with one mesh in which the caller is the owner, under this name.
    #[must_use]
    pub fn new(label: &str, name: &str) -> Self {
        let fake = Self::empty();
        fake.state().add_mesh(label, name, "owner");
        fake
    }

    /// A home without a mesh.
    #[must_use]
    pub fn empty() -> Self {
        let (changed, _) = watch::channel(0);
        let (paused, _) = watch::channel(false);
        Self { inner: Arc::new(Inner { state: Mutex::default(), changed, paused }) }
    }

    /// As a service.
    #[must_use]
    pub fn service(&self) -> Arc<dyn Service> {
        Arc::new(self.clone())
    }

    /// Runs a program with a mesh of this home, on a runtime of its own.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Ambiguous`] when the home has no mesh, or several; otherwise those of the
    /// program.
    pub fn run<T>(&self, program: impl AsyncFnOnce(Mesh) -> Result<T, Error>) -> Result<T, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Error::new(ErrorKind::Internal, "no runtime can be made").with_source(error))?;
        runtime.block_on(async { program(Mesh::from_service(self.service(), None).await?).await })
    }

    /// Adds a mesh; returns its id.
    pub fn add_mesh(&self, label: &str, name: &str) -> String {
        self.change(|state| state.add_mesh(label, name, "owner"))
    }

    /// Adds a member to the first mesh; returns its id.
    pub fn add_member(&self, name: &str) -> String {
        self.change(|state| {
            let (id, device) = (state.hex(), state.hex());
            let mesh = state.first();
            mesh.members.push(member(&id, name, "member", device));
            mesh.info.members += 1;
            let joined = api::MemberRef { id: id.clone(), name: name.into() };
            let index = mesh.members.len() as u64;
            mesh.record(api::Event::Roster { change: "member_joined".into(), member: Some(joined), index });
            id
        })
    }

    /// A member of the first mesh sends a text to the session `main`; returns the message id.
    pub fn receive(&self, from: &str, text: &str) -> String {
        self.receive_in(from, text, MAIN)
    }

    /// A member of the first mesh sends a text to a session; returns the message id.
    pub fn receive_in(&self, from: &str, text: &str, session: &str) -> String {
        self.change(|state| {
            let id = state.uuid();
            let mesh = state.first();
            let member = mesh.members.iter().find(|member| member.name == from);
            let member = member.map(|member| member.id.clone()).unwrap_or_default();
            let message = api::Message {
                id: id.clone(),
                from: api::From { member, name: from.into(), session: MAIN.into() },
                to: vec![mesh.info.member.clone()],
                body: text.into(),
                sent_at: NOW.into(),
                received_at: NOW.into(),
                priority: api::Priority::Next,
                reply_to: None,
                session: session.into(),
                read: false,
                copy: false,
            };
            mesh.inbox.push(message.clone());
            mesh.record(api::Event::Message { message: Box::new(message) });
            id
        })
    }

    /// All recipients of a sent message get to this state.
    pub fn advance(&self, id: &str, to: api::State) {
        self.change(|state| state.first().advance(id, to, None));
    }

    /// From now on every message is in this state as soon as it is sent.
    pub fn confirm_sends(&self, to: api::State) {
        self.change(|state| state.confirmed = Some(to));
    }

    /// Forgets events of the first mesh up to this position, as retention does.
    pub fn forget_events(&self, position: u64) {
        self.change(|state| state.first().feed.retain(|record| record.position > position));
    }

    /// From now on the first mesh has these warnings.
    pub fn warn(&self, warnings: &[&str]) {
        self.change(|state| state.first().warnings = warnings.iter().map(|&warning| warning.into()).collect());
    }

    /// The next call fails with this.
    pub fn fail_next(&self, error: Error) {
        self.state().failures.push_back(error);
    }

    /// Lets every send wait until [`Fake::resume_sends`].
    pub fn pause_sends(&self) {
        self.inner.paused.send_replace(true);
    }

    /// Lets the sends go on that wait, and those that follow.
    pub fn resume_sends(&self) {
        self.inner.paused.send_replace(false);
    }

    /// How many sends wait.
    #[must_use]
    pub fn paused_sends(&self) -> usize {
        self.inner.paused.receiver_count()
    }

    /// Texts sent from here in the first mesh.
    #[must_use]
    pub fn sent_texts(&self) -> Vec<String> {
        self.state().first().sent.iter().map(|sent| sent.request.text.clone()).collect()
    }

    /// Requests sent from here in the first mesh.
    #[must_use]
    pub fn sent(&self) -> Vec<api::SendRequest> {
        self.state().first().sent.iter().map(|sent| sent.request.clone()).collect()
    }

    /// How many calls there were.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.inner.changed.send_modify(|version| *version += 1);
        result
    }

    /// A call's whole work.
    fn answer<T>(&self, call: impl FnOnce(&mut State) -> Result<T, Error>) -> Result<T, Error> {
        self.change(|state| {
            state.calls += 1;
            match state.failures.pop_front() {
                Some(error) => Err(error),
                None => call(state),
            }
        })
    }
}

impl State {
    fn hex(&mut self) -> String {
        self.counter += 1;
        // The counter first: ids differ in their prefixes.
        format!("{:08x}{}", self.counter, "0".repeat(56))
    }

    fn uuid(&mut self) -> String {
        self.counter += 1;
        MessageId::from_bytes(u128::from(self.counter).to_be_bytes()).to_string()
    }

    fn add_mesh(&mut self, label: &str, name: &str, role: &str) -> String {
        let (id, own, device) = (self.hex(), self.hex(), self.hex());
        self.meshes.push(FakeMesh {
            info: api::MeshInfo {
                id: id.clone(),
                label: label.into(),
                member: api::MemberRef { id: own.clone(), name: name.into() },
                role: role.into(),
                members: 1,
                broker: "ws://127.0.0.1:1".into(),
                connected: true,
                selected: false,
                state: "active".into(),
            },
            members: vec![member(&own, name, role, device)],
            status: api::Activity::Idle,
            summary: None,
            sent: Vec::new(),
            inbox: Vec::new(),
            invites: Vec::new(),
            feed: VecDeque::new(),
            position: 0,
            consumers: BTreeMap::new(),
            rooms: None,
            permitted: Vec::new(),
            warnings: Vec::new(),
        });
        id
    }

    fn first(&mut self) -> &mut FakeMesh {
        self.meshes.first_mut().expect("the test has a mesh")
    }

    fn mesh(&mut self, selector: MeshSelector<'_>) -> Result<&mut FakeMesh, Error> {
        let wanted = selector.map(str::to_owned).or_else(|| self.selected.clone());
        let fits = |mesh: &&mut FakeMesh| match &wanted {
            Some(text) => mesh.info.label == *text || (text.len() >= 8 && mesh.info.id.starts_with(text.as_str())),
            None => true,
        };
        let mut found: Vec<_> = self.meshes.iter_mut().filter(fits).collect();
        match found.len() {
            0 => Err(Error::new(ErrorKind::NotFound, "no such mesh").with_hint("see `claudemesh mesh list`")),
            1 => Ok(found.remove(0)),
            _ => Err(Error::new(ErrorKind::Ambiguous, "more than one mesh").with_hint("name one with --mesh")),
        }
    }
}

impl FakeMesh {
    fn record(&mut self, event: api::Event) {
        self.position += 1;
        self.feed.push_back(api::EventRecord { position: self.position, event });
    }

    fn advance(&mut self, id: &str, to: api::State, reason: Option<&str>) {
        let Some(sent) = self.sent.iter_mut().find(|sent| sent.status.id == id) else { return };
        sent.status.state = to;
        let mut changed = Vec::new();
        for recipient in &mut sent.status.recipients {
            recipient.state = to;
            recipient.reason = reason.map(str::to_owned);
            changed.push(recipient.member.clone());
        }
        for member in changed {
            self.record(api::Event::Receipt { id: id.into(), member, state: to, reason: reason.map(str::to_owned) });
        }
    }

    fn find(&mut self, name: &str) -> Result<&mut api::MemberInfo, Error> {
        let fits =
            |member: &&mut api::MemberInfo| member.name == name || (name.len() >= 8 && member.id.starts_with(name));
        let mut found: Vec<_> = self.members.iter_mut().filter(fits).collect();
        match found.len() {
            0 => Err(Error::new(ErrorKind::NotFound, format!("nobody is called {name:?}"))),
            1 => Ok(found.remove(0)),
            _ => Err(Error::new(ErrorKind::Ambiguous, format!("more than one member is called {name:?}"))),
        }
    }

    fn sent(&self, id: &str) -> Result<api::Sent, Error> {
        let sent = self.sent.iter().find(|sent| sent.status.id == id);
        let status = &sent.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such message"))?.status;
        let to = status.recipients.iter().map(|recipient| recipient.member.clone()).collect();
        Ok(api::Sent { id: id.into(), state: status.state, to, reason: None, session: None })
    }

    fn whoami(&self) -> api::WhoAmI {
        api::WhoAmI {
            mesh: api::MeshRef { id: self.info.id.clone(), label: self.info.label.clone() },
            member: self.info.member.clone(),
            role: self.info.role.clone(),
            device: self.members[0].devices[0].clone(),
            status: self.status,
            summary: self.summary.clone(),
            broker: self.info.broker.clone(),
            connected: true,
            position: self.position,
        }
    }
}

fn member(id: &str, name: &str, role: &str, device: String) -> api::MemberInfo {
    api::MemberInfo {
        id: id.into(),
        name: name.into(),
        role: role.into(),
        kind: "human".into(),
        live: true,
        devices: vec![device],
        safety_number: None,
    }
}
