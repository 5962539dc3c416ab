//! The broker with sockets: one listener for WebSockets and health, one task per connection, one for the time.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use claudemesh_core::wire::{CONNECT_PATH, MAX_FRAME, SUBPROTOCOL};
use claudemesh_core::{Millis, PublicKey};
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use rand_core::CryptoRng;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::config::{Config, StoreChoice};
use crate::connection::{Conn, ConnectionId, Outbox};
use crate::engine::{Answer, Engine};
use crate::folds::CoreFolds;
use crate::http;
use crate::keyfile::{self, KeyFileError};
use crate::listen;
use crate::store::{Limits, MemoryStore, SqliteStore, Store, StoreError};

/// How often the engine is told the time.
const TICK: Duration = Duration::from_millis(250);
/// Requests of one connection that are worked on together.
const MAX_IN_FLIGHT: usize = 64;
/// How long a connection that ends has to take what is queued for it.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A broker cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The address cannot be listened on, or the listener failed.
    #[error("cannot listen: {0}")]
    Listen(#[source] std::io::Error),
    /// The folder cannot be created.
    #[error("cannot use the broker's folder: {0}")]
    Directory(#[source] std::io::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key file cannot be read or written.
    #[error(transparent)]
    Key(#[from] KeyFileError),
}

/// A running broker. Dropping it stops it at once; [`Broker::shutdown`] says goodbye first.
#[derive(Debug)]
pub struct Broker {
    engine: Engine,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    ticker: JoinHandle<()>,
    /// Yields `None` once every connection's task has ended.
    connections: mpsc::Receiver<()>,
}

struct Shared {
    engine: Engine,
    rng: Mutex<Box<dyn CryptoRng + Send>>,
    /// Held by every connection's task.
    alive: mpsc::Sender<()>,
}

impl Broker {
    /// Opens the store and serves it.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn bind(config: Config) -> Result<Self, BrokerError> {
        let Config { listen, store, key, engine: settings, mut rng } = config;
        let patience = Duration::from_millis(settings.hello_timeout);
        let limits = Limits {
            mailbox_rows: settings.limits.mailbox_rows,
            max_ttl: settings.limits.max_ttl.saturating_mul(1000),
            ..Limits::default()
        };
        let (store, key): (Arc<dyn Store>, _) = match store {
            StoreChoice::Given(store) => (store, key),
            StoreChoice::Memory => (Arc::new(MemoryStore::new(CoreFolds, limits, &mut rng)), key),
            StoreChoice::Directory(path) => {
                keyfile::create_directory(&path).map_err(BrokerError::Directory)?;
                // First the store: it is locked, so no other broker makes a key meanwhile.
                let store = SqliteStore::open(&path.join("broker.db"), CoreFolds, limits, &mut rng)?;
                let key = match key {
                    Some(key) => key,
                    None => keyfile::load_or_create(&path.join("broker.key"), &mut rng)?,
                };
                (Arc::new(store), Some(key))
            }
        };
        let key = key.unwrap_or_else(|| claudemesh_core::SigningKey::generate(&mut rng));
        let engine = Engine::new(store, key, settings).await?;

        let listener = TcpListener::bind(listen).await.map_err(BrokerError::Listen)?;
        let address = listener.local_addr().map_err(BrokerError::Listen)?;
        let (alive, connections) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared { engine: engine.clone(), rng: Mutex::new(rng), alive });
        let router = Router::new()
            .route(CONNECT_PATH, any(connect))
            .with_state(shared)
            .merge(Router::new().route("/health/ready", get(http::ready)).with_state(engine.clone()))
            .route("/health", get(http::health))
            .route("/i", get(http::invite));
        let server = tokio::spawn(listen::serve(listener, router, patience, stopped));
        let ticker = tokio::spawn(tick(engine.clone()));
        tracing::info!(%address, "listening");
        Ok(Self { engine, address, stop, server, ticker, connections })
    }

    /// The address it listens on.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The address for clients on this machine: `ws://` with host and port. An unspecified host is named as the loopback.
    #[must_use]
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("ws://{address}")
    }

    /// The broker's public key, which rosters name and links pin.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.engine.public_key()
    }

    /// The engine behind the sockets.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Stops taking connections, ends the open ones with `shutdown`, writes what is queued for them, and lets go of the
    /// store. What was begun in it is finished.
    pub async fn shutdown(mut self) {
        self.engine.stop(now());
        let _ = self.stop.send(true);
        // Connections drain by themselves; the server goes when its last plain request is answered.
        let drained = async {
            let _ = (&mut self.server).await;
            while self.connections.recv().await.is_some() {}
        };
        if tokio::time::timeout(LAST_WORDS * 2, drained).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        if let Err(error) = self.engine.store().close().await {
            tracing::warn!(%error, "the store did not close");
        }
        tracing::info!(address = %self.address, "stopped");
    }

    /// Waits for the listener to end, which it does only when the broker stops or it fails.
    ///
    /// # Errors
    /// [`BrokerError::Listen`] with what the listener failed of.
    pub async fn join(&mut self) -> Result<(), BrokerError> {
        match (&mut self.server).await {
            Ok(()) => Ok(()),
            Err(error) => Err(BrokerError::Listen(std::io::Error::other(error))),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.engine.stop(now());
        self.ticker.abort();
        self.server.abort();
    }
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

async fn tick(engine: Engine) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        engine.tick(now()).await;
    }
}

async fn connect(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(MAX_FRAME)
        .max_frame_size(MAX_FRAME)
        // The whole buffer is zeroed for every read.
        .read_buffer_size(16 * 1024);
    if upgrade.selected_protocol().is_none() {
        return (StatusCode::BAD_REQUEST, "the subprotocol is claudemesh.v1\n").into_response();
    }
    let opened = {
        let mut rng = shared.rng.lock().unwrap_or_else(PoisonError::into_inner);
        shared.engine.open(now(), &mut *rng)
    };
    match opened {
        Ok(conn) => upgrade.on_upgrade(move |socket| async move {
            serve(&shared, socket, conn).await;
        }),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

/// One connection, from upgrade to end.
async fn serve(shared: &Shared, socket: WebSocket, conn: Conn) {
    let Conn { id, outbox } = conn;
    let _alive = shared.alive.clone();
    let engine = &shared.engine;
    let (mut sink, mut stream) = socket.split();
    let mut answers = FuturesUnordered::new();
    let mut writer = pin!(write(&mut sink, &outbox));
    let written = {
        let reader = pin!(read(engine, id, &mut stream, &outbox, &mut answers));
        let pumper = pin!(pump(engine, id, &outbox));
        tokio::select! {
            () = reader => false,
            () = pumper => false,
            () = &mut writer => true,
        }
    };
    engine.close(id, now());
    let last_words = async {
        if !written {
            let _ = tokio::time::timeout(LAST_WORDS, writer).await;
        }
    };
    // What was begun is finished, whoever is gone: others wait for it.
    let finish = async { while answers.next().await.is_some() {} };
    tokio::join!(last_words, finish);
}

async fn pump(engine: &Engine, id: ConnectionId, outbox: &Outbox) {
    while outbox.work().await {
        engine.pump(id, now()).await;
    }
}

async fn read(
    engine: &Engine,
    id: ConnectionId,
    stream: &mut (impl StreamExt<Item = Result<Message, axum::Error>> + Unpin),
    outbox: &Outbox,
    answers: &mut FuturesUnordered<Answer>,
) {
    loop {
        let next = async {
            outbox.room().await;
            stream.next().await
        };
        let message = tokio::select! {
            message = next, if answers.len() < MAX_IN_FLIGHT => message,
            Some(()) = answers.next(), if !answers.is_empty() => continue,
        };
        let answer = match message {
            Some(Ok(Message::Binary(frame))) => engine.receive(id, &frame, now()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            // Text is none of our frames: told so as any other malformed one.
            Some(Ok(Message::Text(_))) => engine.receive(id, &[], now()),
            Some(Err(error)) => {
                tracing::debug!(connection = %id, %error, "connection broke");
                return;
            }
            Some(Ok(Message::Close(_))) | None => return,
        };
        if !answer.is_done() {
            answers.push(answer);
        }
    }
}

/// Writes what is queued, flushing once for all that is there.
async fn write(sink: &mut (impl SinkExt<Message, Error = axum::Error> + Unpin), outbox: &Outbox) {
    while let Some(frame) = outbox.next().await {
        let mut frame = Some(frame);
        while let Some(bytes) = frame {
            if sink.feed(Message::Binary(bytes.into())).await.is_err() {
                return;
            }
            frame = outbox.try_next();
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
    let _ = sink.close().await;
}
