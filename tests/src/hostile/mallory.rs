//! A hostile broker: it stands between one client and a real broker, holds the broker's key, and does with the frames what
//! a test tells it to. Without a rule it is honest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use claudemesh_core::SigningKey;
use claudemesh_core::codec::{self, Bytes};
use claudemesh_core::wire::{
    self, Body, CONNECT_PATH, Challenge, CheckedHello, Frame, HelloMode, SUBPROTOCOL, WelcomeBody,
};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::within;

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the broker to the client.
    Down,
    /// From the client to the broker.
    Up,
}

/// What becomes of a frame.
#[derive(Debug)]
pub enum Verdict {
    /// It goes on as it is.
    Pass,
    /// It disappears.
    Drop,
    /// These go on in its place.
    Become(Vec<Vec<u8>>),
}

impl Verdict {
    /// Another frame goes on in its place.
    #[must_use]
    pub fn frame(request: u64, body: impl Into<Body>) -> Self {
        Self::Become(vec![Frame::new(request, body).encode()])
    }
}

type Rule = Box<dyn FnMut(Way, &Frame) -> Verdict + Send>;
type Welcome = Box<dyn FnMut(&mut WelcomeBody) + Send>;

/// A rule that tampers with the first frame it has something to say of, and then is honest.
pub fn once(mut tamper: impl FnMut(Way, &Frame) -> Verdict + Send) -> impl FnMut(Way, &Frame) -> Verdict + Send {
    let mut done = false;
    move |way, frame| {
        let verdict = if done { Verdict::Pass } else { tamper(way, frame) };
        done |= !matches!(verdict, Verdict::Pass);
        verdict
    }
}

/// The deliveries of a frame on its way down.
#[must_use]
pub fn deliveries(way: Way, frame: &Frame) -> Vec<Bytes> {
    match &frame.body {
        Body::Deliver(deliver) if way == Way::Down => deliver.items.iter().map(|item| item.delivery.clone()).collect(),
        _ => Vec::new(),
    }
}

type Down = mpsc::UnboundedSender<Vec<u8>>;

struct State {
    upstream: String,
    key: SigningKey,
    rule: Option<Rule>,
    welcome: Option<Welcome>,
    /// To the client that is connected.
    line: Option<Down>,
    /// Every frame since the beginning, as it came.
    seen: Vec<(Way, Frame)>,
}

struct Shared {
    state: Mutex<State>,
    grew: watch::Sender<usize>,
    cut: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hostile broker.
pub struct Mallory {
    url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for Mallory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mallory").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Drop for Mallory {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.cut.notify_waiters();
    }
}

impl Mallory {
    /// Stands before the broker at `upstream`, whose key it has.
    ///
    /// # Panics
    /// No port is free.
    pub async fn before(upstream: &str, key: &SigningKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("ws://{}", listener.local_addr().expect("it listens"));
        let state = State {
            upstream: upstream.to_owned(),
            key: SigningKey::from_seed(&key.seed()),
            rule: None,
            welcome: None,
            line: None,
            seen: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), grew: watch::Sender::new(0), cut: Notify::new() });
        let serving = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let shared = serving.clone();
                tokio::spawn(async move {
                    // A connection that fails is the client's to make again.
                    let _ = relay(&shared, socket).await;
                });
            }
        });
        Self { url, shared, task }
    }

    /// The address for the client.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("ws://")
    }

    /// Tampers with frames after the handshake.
    pub fn tamper(&self, rule: impl FnMut(Way, &Frame) -> Verdict + Send + 'static) {
        self.shared.state().rule = Some(Box::new(rule));
    }

    /// Tampers with the welcome of devices, and signs it anew.
    pub fn lie(&self, welcome: impl FnMut(&mut WelcomeBody) + Send + 'static) {
        self.shared.state().welcome = Some(Box::new(welcome));
    }

    /// Is honest from now on.
    pub fn reform(&self) {
        let mut state = self.shared.state();
        (state.rule, state.welcome) = (None, None);
    }

    /// Relays to another broker from the next connection on.
    pub fn turn_to(&self, upstream: &str) {
        self.shared.state().upstream = upstream.to_owned();
    }

    /// Breaks the connection; the client makes another.
    pub fn cut(&self) {
        self.shared.state().line = None;
        self.shared.cut.notify_waiters();
    }

    /// Sends the client a frame of its own.
    ///
    /// # Panics
    /// The client is not connected.
    pub fn say(&self, frame: Vec<u8>) {
        let state = self.shared.state();
        state.line.as_ref().expect("the client is connected").send(frame).expect("the client is connected");
    }

    /// How many frames it has seen.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.shared.state().seen.len()
    }

    /// Whether a frame that fits was among those after `mark`.
    #[must_use]
    pub fn saw(&self, mark: usize, fits: impl Fn(Way, &Body) -> bool) -> bool {
        self.shared.state().seen.iter().skip(mark).any(|(way, frame)| fits(*way, &frame.body))
    }

    /// Waits for a frame that fits among those after `mark`.
    ///
    /// # Panics
    /// None comes.
    pub async fn sees<T>(&self, what: &str, mark: usize, mut fits: impl FnMut(Way, &Frame) -> Option<T>) -> T {
        let mut grew = self.shared.grew.subscribe();
        let mut from = mark;
        within(what, async {
            loop {
                grew.mark_unchanged();
                {
                    let state = self.shared.state();
                    if let Some(found) = state.seen.iter().skip(from).find_map(|(way, frame)| fits(*way, frame)) {
                        return found;
                    }
                    from = state.seen.len().max(from);
                }
                grew.changed().await.expect("it is there as long as we are");
            }
        })
        .await
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

async fn upstream(url: &str) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Fault> {
    let mut request = format!("{url}{CONNECT_PATH}").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    Ok(tokio_tungstenite::connect_async(request).await?.0)
}

#[allow(clippy::result_large_err, reason = "the library's signature")]
async fn relay(shared: &Shared, socket: TcpStream) -> Result<(), Fault> {
    socket.set_nodelay(true)?;
    let url = shared.state().upstream.clone();
    let broker = upstream(&url).await?;
    let agree = |_: &Request, mut response: Response| {
        response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        Ok(response)
    };
    let client = tokio_tungstenite::accept_hdr_async(socket, agree).await?;
    let (mut to_client, mut from_client) = client.split();
    let (mut to_broker, mut from_broker) = broker.split();
    let (down, mut going_down) = mpsc::unbounded_channel::<Vec<u8>>();
    let (up, mut going_up) = mpsc::unbounded_channel::<Vec<u8>>();
    let mut hands = Hands::default();
    let cut = shared.cut.notified();
    tokio::pin!(cut);
    loop {
        tokio::select! {
            () = &mut cut => return Ok(()),
            Some(frame) = going_down.recv() => to_client.send(Message::Binary(frame.into())).await?,
            Some(frame) = going_up.recv() => to_broker.send(Message::Binary(frame.into())).await?,
            message = from_broker.next() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    hands.take(shared, Way::Down, &bytes, &down).into_iter().for_each(|bytes| { let _ = down.send(bytes); });
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(to_client.close().await?),
                Some(Ok(_)) => {}
            },
            message = from_client.next() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    hands.take(shared, Way::Up, &bytes, &down).into_iter().for_each(|bytes| { let _ = up.send(bytes); });
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(to_broker.close().await?),
                Some(Ok(_)) => {}
            },
        }
    }
}

/// What one connection has been through.
#[derive(Default)]
struct Hands {
    challenge: Option<Challenge>,
    hello: Option<CheckedHello>,
    shaken: bool,
}

impl Hands {
    fn take(&mut self, shared: &Shared, way: Way, bytes: &[u8], line: &Down) -> Vec<Vec<u8>> {
        let as_it_is = || vec![bytes.to_vec()];
        let Ok(frame) = Frame::decode(bytes) else { return as_it_is() };
        let mut state = shared.state();
        state.seen.push((way, frame.clone()));
        let verdict = match (&frame.body, self.shaken) {
            (_, true) => match &mut state.rule {
                Some(rule) => rule(way, &frame),
                None => Verdict::Pass,
            },
            (Body::Challenge(challenge), _) => {
                self.challenge = Some(challenge.clone());
                Verdict::Pass
            }
            (Body::Hello(hello), _) => {
                let challenge = self.challenge.as_ref().expect("the broker spoke first");
                self.hello = wire::check_hello(challenge, hello, b"").ok();
                Verdict::Pass
            }
            (Body::WelcomeFrame(welcome), _) => self.greet(&mut state, frame.request, welcome, line),
            _ => Verdict::Pass,
        };
        let count = state.seen.len();
        drop(state);
        shared.grew.send_replace(count);
        match verdict {
            Verdict::Pass => as_it_is(),
            Verdict::Drop => Vec::new(),
            Verdict::Become(frames) => frames,
        }
    }

    fn greet(&mut self, state: &mut State, request: u64, welcome: &wire::WelcomeFrame, line: &Down) -> Verdict {
        let Some(hello) = self.hello.as_ref().filter(|hello| hello.mode == HelloMode::Device) else {
            return Verdict::Pass;
        };
        self.shaken = true;
        state.line = Some(line.clone());
        let Some(lie) = &mut state.welcome else { return Verdict::Pass };
        let mut body: WelcomeBody = codec::decode(&welcome.body).expect("the broker is honest");
        lie(&mut body);
        Verdict::frame(request, wire::answer_hello(&state.key, hello, &body))
    }
}
