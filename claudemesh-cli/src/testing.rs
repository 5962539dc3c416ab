//! A service that answers as a test tells it to, and a way to run the whole program against it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufReader, Cursor, Write};
use std::sync::{Arc, Mutex};

use claudemesh_client::api::{self, *};
use claudemesh_client::service::{Call, MeshSelector, Service};
use claudemesh_client::{Error, ErrorKind};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use serde_json::{Value, json};

use crate::app::{App, Input};
use crate::output::{Output, Stream};

mod rooms;
mod sessions;

pub(crate) const ID: &str = "0190c2f4-7e51-7abc-8def-0123456789ab";
pub(crate) const LINK: &str = "http://127.0.0.1:7900/i#pAABAXhAc2VjcmV0LXNlY3JldC1zZWNyZXQ";

/// What was called or written, in order.
pub(crate) type Journal = Arc<Mutex<Vec<(String, Value)>>>;

/// The far end.
pub(crate) struct Fake {
    pub(crate) journal: Journal,
    /// What every call fails with.
    pub(crate) failure: Option<ErrorKind>,
    /// What only marking read fails with.
    pub(crate) mark_failure: Option<ErrorKind>,
    /// State right after sending.
    pub(crate) sent: State,
    /// State after waiting; none: the wait runs into its timeout as an error.
    pub(crate) waited: Option<State>,
    pub(crate) reason: Option<String>,
    pub(crate) connected: bool,
    pub(crate) messages: Vec<Message>,
    pub(crate) events: Mutex<VecDeque<Result<EventRecord, Error>>>,
    /// Whether the feed ends after the events, instead of waiting for more.
    pub(crate) feed_ends: bool,
    pub(crate) created: bool,
    /// Answers about posts and about the state, one after the other, before the usual ones.
    pub(crate) posts: Mutex<VecDeque<Posts>>,
    pub(crate) changes: Mutex<VecDeque<StateEntries>>,
    /// The name others go by.
    pub(crate) name: String,
    /// What goes with every answer.
    pub(crate) warnings: &'static [&'static str],
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            journal: Journal::default(),
            failure: None,
            mark_failure: None,
            sent: State::Queued,
            waited: Some(State::Accepted),
            reason: None,
            connected: true,
            messages: Vec::new(),
            events: Mutex::default(),
            feed_ends: false,
            created: true,
            posts: Mutex::default(),
            changes: Mutex::default(),
            name: "bob".into(),
            warnings: &[],
        }
    }
}

impl Fake {
    fn answer<T: Send + 'static>(&self, verb: &str, about: Value, answer: T) -> Call<'_, T> {
        self.journal.lock().unwrap().push((verb.into(), about));
        let result = match self.failure {
            Some(kind) => Err(Error::new(kind, format!("{verb} does not work")).with_hint("do something else")),
            None => Ok(answer),
        };
        Box::pin(async move { result })
    }

    fn bob(&self) -> MemberRef {
        MemberRef { id: "b0b0b0b0b0b0b0b0".into(), name: self.name.clone() }
    }

    fn sent_as(&self, state: State) -> Sent {
        Sent { id: ID.into(), state, to: vec![self.bob()], reason: self.reason.clone(), session: None }
    }

    fn me(&self) -> WhoAmI {
        WhoAmI {
            mesh: mesh(),
            member: alice(),
            role: "owner".into(),
            device: "d0d0d0d0d0d0".into(),
            status: Activity::Working,
            summary: Some("fixing the parser".into()),
            broker: "ws://127.0.0.1:7900".into(),
            connected: self.connected,
            position: 0,
        }
    }

    fn mesh_info(&self) -> MeshInfo {
        MeshInfo {
            id: mesh().id,
            label: mesh().label,
            member: alice(),
            role: "owner".into(),
            members: 2,
            broker: "ws://127.0.0.1:7900".into(),
            connected: self.connected,
            selected: true,
            state: "active".into(),
        }
    }

    fn bob_info(&self) -> MemberInfo {
        MemberInfo {
            id: self.bob().id,
            name: self.name.clone(),
            role: "member".into(),
            kind: "human".into(),
            live: true,
            devices: vec!["d1d1d1d1d1d1".into()],
            safety_number: Some("12345 67890".into()),
        }
    }

    fn invite_info(&self, link: Option<String>) -> Invite {
        Invite {
            id: "5d41a02b99887766".into(),
            link,
            expires_at: "2026-11-28T06:55:00Z".into(),
            uses: 1,
            used: 0,
            state: "open".into(),
            role: "member".into(),
            by: alice(),
            warning: Some("this link only works on this machine".into()),
        }
    }
}

pub(crate) fn mesh() -> MeshRef {
    MeshRef { id: "feedfacefeedface".into(), label: "team".into() }
}

pub(crate) fn alice() -> MemberRef {
    MemberRef { id: "a11ce000a11ce000".into(), name: "alice".into() }
}

/// A message from bob, unread.
pub(crate) fn message(body: &str) -> Message {
    serde_json::from_value(json!({
        "id": ID, "from": {"member": "b0b0b0b0b0b0b0b0", "name": "bob", "session": "main"}, "to": [alice()],
        "body": body, "sent_at": "2026-11-21T06:55:00Z", "received_at": "2026-11-21T06:55:01Z", "priority": "next",
        "reply_to": null, "session": "main", "read": false, "copy": false
    }))
    .unwrap()
}

pub(crate) fn peer(name: &str) -> Peer {
    Peer {
        member: "b0b0b0b0b0b0b0b0".into(),
        name: name.into(),
        role: "member".into(),
        kind: "human".into(),
        online: true,
        status: Activity::Working,
        summary: Some("tests".into()),
        devices: vec!["d1d1d1d1d1d1".into()],
        sessions: Vec::new(),
        last_seen: None,
        own: false,
        live: true,
    }
}

impl Service for Fake {
    fn status(&self) -> Call<'_, api::Status> {
        let mesh = MeshStatus {
            mesh: self.mesh_info(),
            queued: 1,
            writing: 0,
            held: 0,
            unread: 2,
            roster_index: 3,
            roster_hash: "00".into(),
            round_trip_ms: Some(1.25),
            warnings: vec!["the clock is 3 s off".into()],
            last_error: None,
            hints: Some("say in #deploys what goes out".into()),
            missing: vec![
                MissingEpochs { topic: None, epochs: vec![1] },
                MissingEpochs { topic: Some("general".into()), epochs: vec![1, 2, 3, 5] },
            ],
        };
        let status = Status {
            version: "0.1.0".into(),
            pid: 42,
            home: "/home/alice/mesh".into(),
            embedded_broker: Some("ws://127.0.0.1:7900".into()),
            meshes: vec![mesh],
        };
        self.answer("status", Value::Null, status)
    }

    fn up(&self, request: UpRequest) -> Call<'_, UpReply> {
        let reply = UpReply {
            mesh: mesh(),
            broker: "ws://127.0.0.1:7900".into(),
            member: alice(),
            link: Some(LINK.into()),
            recovery_key: self.created.then(|| "RECOVERY-KEY".into()),
            created: self.created,
            template: None,
        };
        self.answer("up", json!(request), reply)
    }

    fn join(&self, request: JoinRequest) -> Call<'_, JoinReply> {
        let reply = JoinReply { mesh: mesh(), member: self.bob(), invited_by: Some(alice()) };
        self.answer("join", json!(request), reply)
    }

    fn meshes(&self) -> Call<'_, Meshes> {
        self.answer("meshes", Value::Null, Meshes { meshes: vec![self.mesh_info()] })
    }

    fn warnings<'a>(&'a self, _mesh: MeshSelector<'a>) -> BoxFuture<'a, Vec<String>> {
        Box::pin(async { self.warnings.iter().map(|&warning| warning.into()).collect() })
    }

    fn mesh_use<'a>(&'a self, mesh: &'a str) -> Call<'a, MeshInfo> {
        self.answer("mesh_use", json!(mesh), self.mesh_info())
    }

    fn mesh_rename<'a>(&'a self, mesh: &'a str, label: &'a str) -> Call<'a, MeshInfo> {
        self.answer("mesh_rename", json!([mesh, label]), MeshInfo { label: label.into(), ..self.mesh_info() })
    }

    fn mesh_leave<'a>(&'a self, mesh: &'a str) -> Call<'a, MeshInfo> {
        self.answer("mesh_leave", json!(mesh), self.mesh_info())
    }

    fn mesh_delete<'a>(&'a self, mesh: &'a str) -> Call<'a, MeshInfo> {
        self.answer("mesh_delete", json!(mesh), self.mesh_info())
    }

    fn whoami<'a>(&'a self, mesh: MeshSelector<'a>) -> Call<'a, WhoAmI> {
        self.answer("whoami", json!(mesh), self.me())
    }

    fn invite<'a>(&'a self, mesh: MeshSelector<'a>, request: InviteRequest) -> Call<'a, Invite> {
        self.answer("invite", json!([mesh, request]), self.invite_info(Some(LINK.into())))
    }

    fn invites<'a>(&'a self, mesh: MeshSelector<'a>) -> Call<'a, Invites> {
        self.answer("invites", json!(mesh), Invites { invites: vec![self.invite_info(None)] })
    }

    fn invite_revoke<'a>(&'a self, mesh: MeshSelector<'a>, id: &'a str) -> Call<'a, Invite> {
        self.answer("invite_revoke", json!([mesh, id]), self.invite_info(None))
    }

    fn send<'a>(&'a self, mesh: MeshSelector<'a>, request: SendRequest) -> Call<'a, Sent> {
        self.answer("send", json!([mesh, request]), self.sent_as(self.sent))
    }

    fn wait<'a>(&'a self, mesh: MeshSelector<'a>, request: WaitRequest) -> Call<'a, Sent> {
        let about = json!([mesh, request]);
        match self.waited {
            Some(state) => self.answer("wait", about, self.sent_as(state)),
            None => {
                self.journal.lock().unwrap().push(("wait".into(), about));
                Box::pin(async { Err(Error::new(ErrorKind::Timeout, "the state was not reached")) })
            }
        }
    }

    fn message_status<'a>(&'a self, mesh: MeshSelector<'a>, id: &'a str) -> Call<'a, MessageStatus> {
        let recipient = RecipientStatus {
            member: self.bob(),
            device: "d1d1d1d1d1d1".into(),
            state: State::Delivered,
            at: "2026-11-21T06:55:01Z".into(),
            reason: None,
            session: Some("api".into()),
        };
        let status = MessageStatus { id: id.into(), state: State::Delivered, recipients: vec![recipient] };
        self.answer("message_status", json!([mesh, id]), status)
    }

    fn inbox<'a>(&'a self, mesh: MeshSelector<'a>, query: InboxQuery) -> Call<'a, Inbox> {
        self.answer("inbox", json!([mesh, query]), Inbox { messages: self.messages.clone() })
    }

    fn mark_read<'a>(&'a self, mesh: MeshSelector<'a>, request: ReadRequest) -> Call<'a, ()> {
        let call = self.answer("mark_read", json!([mesh, request]), ());
        match self.mark_failure {
            Some(kind) => Box::pin(async move { Err(Error::new(kind, "the daemon has gone")) }),
            None => call,
        }
    }

    fn peers<'a>(&'a self, mesh: MeshSelector<'a>, all: bool) -> Call<'a, Peers> {
        self.answer("peers", json!([mesh, all]), Peers { peers: vec![peer(&self.name)] })
    }

    fn set_presence<'a>(&'a self, mesh: MeshSelector<'a>, request: PresenceRequest) -> Call<'a, WhoAmI> {
        self.answer("set_presence", json!([mesh, request]), self.me())
    }

    fn members<'a>(&'a self, mesh: MeshSelector<'a>) -> Call<'a, Members> {
        self.answer("members", json!(mesh), Members { members: vec![self.bob_info()] })
    }

    fn member_remove<'a>(&'a self, mesh: MeshSelector<'a>, member: &'a str) -> Call<'a, MemberChange> {
        let change = MemberChange {
            member: Some(MemberInfo { live: false, ..self.bob_info() }),
            closed_invites: vec!["5d41a02b99887766".into()],
        };
        self.answer("member_remove", json!([mesh, member]), change)
    }

    fn member_role<'a>(&'a self, mesh: MeshSelector<'a>, member: &'a str, role: &'a str) -> Call<'a, MemberChange> {
        let member_info = MemberInfo { role: role.into(), ..self.bob_info() };
        let change = MemberChange { member: Some(member_info), closed_invites: Vec::new() };
        self.answer("member_role", json!([mesh, member, role]), change)
    }

    fn events<'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        query: EventsQuery,
    ) -> Call<'a, BoxStream<'static, Result<EventRecord, Error>>> {
        let events = stream::iter(std::mem::take(&mut *self.events.lock().unwrap()));
        let feed = if self.feed_ends { events.boxed() } else { events.chain(stream::pending()).boxed() };
        self.answer("events", json!([mesh, query]), feed)
    }

    fn ack<'a>(&'a self, mesh: MeshSelector<'a>, request: AckRequest) -> Call<'a, ()> {
        self.answer("ack", json!([mesh, request]), ())
    }

    fn shutdown(&self) -> Call<'_, ()> {
        self.answer("shutdown", Value::Null, ())
    }
}

/// An output stream that keeps what it is given, and may be closed by its reader.
#[derive(Clone)]
struct Buffer {
    bytes: Arc<Mutex<Vec<u8>>>,
    journal: Journal,
    name: &'static str,
    broken: Option<io::ErrorKind>,
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.broken {
            Some(kind) => Err(kind.into()),
            None => self.bytes.lock().unwrap().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.journal.lock().unwrap().push((format!("flush {}", self.name), Value::Null));
        Ok(())
    }
}

/// The circumstances of a run.
#[derive(Clone, Copy, Default)]
pub(crate) struct Setting<'a> {
    pub(crate) stdin: &'a [u8],
    /// Whether all three streams are a terminal.
    pub(crate) terminal: bool,
    /// What writing to standard output fails with.
    pub(crate) broken: Option<io::ErrorKind>,
}

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
    journal: Vec<(String, Value)>,
}

impl Ran {
    /// Verbs called and streams flushed, in order.
    pub(crate) fn steps(&self) -> Vec<&str> {
        self.journal.iter().map(|(verb, _)| verb.as_str()).collect()
    }

    /// Service calls, in order.
    pub(crate) fn calls(&self) -> Vec<&str> {
        self.steps().into_iter().filter(|step| !step.starts_with("flush")).collect()
    }

    /// What a call was about.
    pub(crate) fn call(&self, verb: &str) -> &Value {
        &self.journal.iter().find(|(called, _)| called == verb).unwrap().1
    }

    /// Standard output as one JSON object.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.err, "", "no errors");
        assert_eq!(self.out.matches('\n').count(), 1, "one line: {}", self.out);
        serde_json::from_str(&self.out).unwrap()
    }

    /// Standard error as one JSON object, with nothing on standard output.
    pub(crate) fn error(&self) -> Value {
        assert_eq!(self.out, "", "nothing on standard output");
        assert_eq!(self.err.matches('\n').count(), 1, "one line: {}", self.err);
        serde_json::from_str(&self.err).unwrap()
    }
}

/// Runs a command line.
pub(crate) fn run(fake: Fake, args: &[&str]) -> Ran {
    run_in(fake, args, Setting::default())
}

/// Runs a command line under given circumstances.
pub(crate) fn run_in(fake: Fake, args: &[&str], setting: Setting<'_>) -> Ran {
    let journal = Arc::clone(&fake.journal);
    let buffer = |name, broken| Buffer { bytes: Arc::default(), journal: Arc::clone(&journal), name, broken };
    let (out, err) = (buffer("out", setting.broken), buffer("err", None));
    let args: Vec<OsString> = std::iter::once("claudemesh").chain(args.iter().copied()).map(Into::into).collect();
    let output = Output {
        json: crate::args::wants_json(&args),
        fields: crate::projection::Fields::default(),
        out: Stream::into(Box::new(out.clone()), setting.terminal),
        err: Stream::into(Box::new(err.clone()), setting.terminal),
    };
    let reader = Box::new(BufReader::new(Cursor::new(setting.stdin.to_vec())));
    let input = Input { reader, terminal: setting.terminal };
    let code = crate::run(args, &mut App::with(Arc::new(fake), output, input));
    let text = |buffer: &Buffer| String::from_utf8(buffer.bytes.lock().unwrap().clone()).unwrap();
    let (out, err) = (text(&out), text(&err));
    let journal = std::mem::take(&mut *journal.lock().unwrap());
    Ran { code, out, err, journal }
}
