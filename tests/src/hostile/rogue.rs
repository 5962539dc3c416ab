//! A hostile member: a real identity in the roster, and no client that would stop it from sending anything.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use claudemesh_core::codec::{Bytes, List};
use claudemesh_core::device::{DeviceRecord, PrekeyRing, RecordDraft};
use claudemesh_core::envelope::{
    Content, ContentBody, Draft, Header, Lane, Priority, Recipient, Submission, WrapCache, seal_flush,
};
use claudemesh_core::invite::{Link, LinkSecret, WelcomeBundle};
use claudemesh_core::roster::{Broker, Kind, NewInvite, create_genesis};
use claudemesh_core::wire::{
    self, Body, CONNECT_PATH, ClientHandshake, ErrorCode, Frame, HelloMode, Outcome, SUBPROTOCOL,
};
use claudemesh_core::{DeviceId, MemberId, MeshId, MessageId, Millis, PublicKey, Roster, Seconds, SigningKey};
use futures_util::{SinkExt, StreamExt};
use rand_core::UnwrapErr;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{Town, within};

mod spy;

pub use spy::Spy;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn rng() -> UnwrapErr<getrandom::SysRng> {
    UnwrapErr(getrandom::SysRng)
}

/// The hostile member.
pub struct Rogue {
    /// Its device key.
    pub key: SigningKey,
    /// The mesh.
    pub mesh: MeshId,
    /// The roster's entries, as far as they were read.
    entries: Vec<Bytes>,
    url: String,
    broker: PublicKey,
    prekeys: PrekeyRing,
    socket: Option<Socket>,
    requests: u64,
    /// Frames nobody asked for.
    pushed: VecDeque<Body>,
}

impl std::fmt::Debug for Rogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rogue").field("mesh", &self.mesh).finish_non_exhaustive()
    }
}

async fn open(url: &str) -> Socket {
    let mut request = format!("{url}{CONNECT_PATH}").into_client_request().expect("an address");
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    within("a connection", tokio_tungstenite::connect_async(request)).await.expect("the broker listens").0
}

impl Rogue {
    fn new(town: &Town, mesh: MeshId) -> Self {
        Self {
            key: SigningKey::generate(&mut rng()),
            mesh,
            entries: Vec::new(),
            url: town.broker.url(),
            broker: town.broker.public_key(),
            prekeys: PrekeyRing::new(),
            socket: None,
            requests: 0,
            pushed: VecDeque::new(),
        }
    }

    /// Founds a mesh of its own.
    ///
    /// # Panics
    /// The broker does not take it.
    pub async fn found(town: &Town) -> Self {
        let mut rogue = Self::new(town, MeshId::from_bytes([0; 32]));
        let recovery = SigningKey::generate(&mut rng()).public();
        let (genesis, mesh, _) = create_genesis(&rogue.key, &recovery, Kind::Human, &mut rng()).expect("a genesis");
        rogue.mesh = mesh;
        rogue.connect(HelloMode::Create, None).await;
        rogue.append(genesis).await;
        rogue.enter().await;
        let addresses = List::from_vec(vec![town.broker.url()]).expect("one");
        let brokers = vec![Broker { key: rogue.broker, addresses }];
        let entry = rogue.roster().set_brokers(&rogue.key, brokers).expect("it is the owner");
        rogue.append(entry).await;
        rogue
    }

    /// Joins by a link.
    ///
    /// # Panics
    /// The link does not serve.
    pub async fn join(town: &Town, link: &str) -> Self {
        let link = Link::parse(link).expect("it is a link");
        let invite = link.secret().invite_key();
        let mut rogue = Self::new(town, link.mesh());
        rogue.connect(HelloMode::Join(invite.public().invite_id()), Some(&invite)).await;
        rogue.sync().await;
        let (entry, _) = rogue.roster().join(&rogue.key, &invite, Kind::Human, &mut rng()).expect("a good link");
        rogue.append(entry).await;
        rogue.enter().await;
        rogue
    }

    /// Connects as a device and publishes a prekey.
    async fn enter(&mut self) {
        self.connect(HelloMode::Device, None).await;
        self.prekeys.rotate(now().seconds(), &mut rng());
        let draft =
            RecordDraft { counter: 1, prekeys: self.prekeys.public(), head: self.roster().head(), profile: None };
        let record = DeviceRecord::sign(&self.key, &self.mesh, &draft).expect("a record");
        self.done(wire::RecordPut { record: record.into() }).await;
    }

    async fn connect(&mut self, mode: HelloMode, invite: Option<&SigningKey>) {
        self.socket = Some(open(&self.url).await);
        let Some(Body::Challenge(challenge)) = self.next().await.map(|frame| frame.body) else {
            panic!("the broker speaks first")
        };
        let keys = [self.broker];
        let (handshake, hello) =
            ClientHandshake::start(&challenge, &keys, self.mesh, &self.key, mode, invite, None, b"", &mut rng())
                .expect("it is the broker");
        match self.ask(hello).await {
            Body::WelcomeFrame(welcome) => drop(handshake.finish(&welcome).expect("it is the broker")),
            other => panic!("not welcome: {other:?}"),
        }
    }

    /// The next frame; none when the connection has ended.
    async fn next(&mut self) -> Option<Frame> {
        let socket = self.socket.as_mut()?;
        loop {
            match within("a frame", socket.next()).await {
                Some(Ok(Message::Binary(bytes))) => return Some(Frame::decode(&bytes).expect("the broker is honest")),
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    self.socket = None;
                    return None;
                }
                Some(Ok(_)) => {}
            }
        }
    }

    /// Sends any bytes as a frame.
    pub async fn send(&mut self, bytes: Vec<u8>) {
        if let Some(socket) = &mut self.socket {
            // The broker may hang up before it has read them all.
            let _ = socket.send(Message::Binary(bytes.into())).await;
        }
    }

    /// Sends any bytes, and waits for the answer to this request; none when the broker hangs up instead.
    pub async fn provoke(&mut self, request: u64, bytes: Vec<u8>) -> Option<Body> {
        self.send(bytes).await;
        loop {
            let frame = self.next().await?;
            match frame.body {
                Body::Close(_) => {}
                body if frame.request == request => return Some(body),
                body => self.pushed.push_back(body),
            }
        }
    }

    /// A request with its answer.
    ///
    /// # Panics
    /// The broker hangs up.
    pub async fn ask(&mut self, body: impl Into<Body>) -> Body {
        self.requests += 1;
        let frame = Frame::new(self.requests, body).encode();
        self.provoke(self.requests, frame).await.expect("an answer")
    }

    /// A request that must succeed.
    ///
    /// # Panics
    /// It does not.
    pub async fn done(&mut self, body: impl Into<Body>) {
        let reply = self.ask(body).await;
        assert!(matches!(reply, Body::Done(_)), "{reply:?}");
    }

    /// A request that must be refused; with what code.
    ///
    /// # Panics
    /// It is not.
    pub async fn refused(&mut self, body: impl Into<Body>) -> ErrorCode {
        match self.ask(body).await {
            Body::Error(error) => error.code,
            other => panic!("it was not refused: {other:?}"),
        }
    }

    /// Waits for a frame nobody asked for.
    ///
    /// # Panics
    /// The broker hangs up.
    pub async fn told<T>(&mut self, mut fits: impl FnMut(&Body) -> Option<T>) -> T {
        loop {
            while let Some(body) = self.pushed.pop_front() {
                if let Some(found) = fits(&body) {
                    return found;
                }
            }
            let frame = self.next().await.expect("the connection holds");
            self.pushed.push_back(frame.body);
        }
    }

    /// Reads the roster.
    ///
    /// # Panics
    /// It is not permitted.
    pub async fn sync(&mut self) {
        let Body::RosterEntries(page) = self.ask(wire::RosterRange { from: 0, limit: 1000 }).await else {
            panic!("no roster")
        };
        self.entries = page.entries.into_vec();
    }

    /// Appends to the roster.
    ///
    /// # Panics
    /// The broker refuses it.
    pub async fn append(&mut self, entry: Vec<u8>) {
        self.done(wire::RosterAppend { entry: entry.clone().into() }).await;
        self.entries.push(entry.into());
    }

    /// A link to its mesh.
    ///
    /// # Panics
    /// It may not invite.
    pub async fn link(&mut self) -> String {
        let secret = LinkSecret::generate(&mut rng());
        let bundle = WelcomeBundle {
            label: "trap".into(),
            inviter: self.member(),
            names: Vec::new(),
            brokers: Vec::new(),
            hint: None,
        };
        let sealed = bundle.seal(&secret, &mut rng()).expect("a welcome");
        let expires = Seconds(now().seconds().0 + 3600);
        let invite = NewInvite::to_join(secret.invite_key().public(), 1, expires, sealed);
        self.sync().await;
        let entry = self.roster().create_invite(&self.key, invite).expect("it may invite");
        self.append(entry).await;
        Link::new(self.mesh, self.broker, secret, &self.url).expect("a link").to_url()
    }

    /// The roster, as far as it was read.
    ///
    /// # Panics
    /// It does not verify.
    #[must_use]
    pub fn roster(&self) -> Roster {
        Roster::from_entries(self.entries.iter().map(|entry| &entry.0)).expect("the broker is honest")
    }

    /// Its device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.key.public().device_id()
    }

    /// Its member.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    pub fn member(&self) -> MemberId {
        self.roster().device(&self.device()).expect("it is a member").member
    }

    /// A text to a device, by the rules, with this sequence number.
    ///
    /// # Panics
    /// The device has no prekey.
    pub async fn draft(&mut self, to: DeviceId, seq: u64, text: &str) -> Draft {
        self.sync().await;
        let devices = List::from_vec(vec![to]).expect("one");
        let Body::Records(records) = self.ask(wire::RecordGet { devices }).await else { panic!("no records") };
        let device = self.roster().device(&to).expect("a device").clone();
        let record = DeviceRecord::verify(&records.records[0], &self.mesh, &device.key).expect("a record");
        let prekey = record.fresh_prekey(now().seconds()).expect("a fresh prekey");
        Draft {
            header: Header {
                mesh: self.mesh,
                sender: self.device(),
                id: MessageId::generate(now(), &mut rng()),
                attempt: 1,
                expires: now().plus(3_600_000),
                deliver_at: None,
                head: self.roster().head(),
            },
            recipients: vec![Recipient {
                device: to,
                prekey_id: prekey.id.0,
                prekey: prekey.public,
                lane: Lane::Next,
                seq,
            }],
            content: Content {
                acting: vec![to],
                target_session: None,
                sending_session: None,
                sent_at: now(),
                priority: Priority::Next,
                reply_to: None,
                hops: 0,
                addressed: vec![device.member],
                body: ContentBody::Text(text.into()),
            },
        }
    }

    /// Seals a draft.
    ///
    /// # Panics
    /// It cannot be sealed.
    #[must_use]
    pub fn seal(&self, draft: Draft) -> Submission {
        let sealed = seal_flush(&self.key, &[draft], &mut WrapCache::new(), now(), &mut rng());
        sealed.expect("it can be sealed").remove(0)
    }

    /// Hands a submission to the broker; what became of it for its only recipient.
    ///
    /// # Panics
    /// The broker answers something else.
    pub async fn enqueue(&mut self, submission: Vec<u8>) -> Result<Outcome, ErrorCode> {
        let submissions = List::from_vec(vec![submission.into()]).expect("one");
        match self.ask(wire::Enqueue { submissions }).await {
            Body::Enqueued(reply) => Ok(reply.outcomes[0][0]),
            Body::Error(error) => Err(error.code),
            other => panic!("{other:?}"),
        }
    }
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
