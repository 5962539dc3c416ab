//! A WebSocket to a broker as a stream of frames in and a queue of frames out.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use claudemesh_core::wire::{CONNECT_PATH, MAX_FRAME, SUBPROTOCOL};

use crate::error::{Error, ErrorKind};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Refuses addresses that would carry the mesh in the clear over a network.
pub(crate) fn check_address(url: &str, insecure: bool) -> Result<url::Url, Error> {
    let parsed = url::Url::parse(url).map_err(|error| {
        Error::new(ErrorKind::Usage, format!("{url:?} is no broker address"))
            .with_hint("use wss://HOST[:PORT], or ws://127.0.0.1:PORT on this machine")
            .with_source(error)
    })?;
    let loopback = match parsed.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match parsed.scheme() {
        "wss" => Ok(parsed),
        "ws" if loopback || insecure => Ok(parsed),
        "ws" => Err(Error::new(ErrorKind::Refused, format!("{url} is not encrypted in transit"))
            .with_hint("use a wss:// address, or accept that who listens sees who talks to whom: --insecure-ws")),
        _ => Err(Error::new(ErrorKind::Usage, format!("{url:?} is no broker address"))
            .with_hint("use wss://HOST[:PORT], or ws://127.0.0.1:PORT on this machine")),
    }
}

fn unreachable_error(url: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Unreachable, format!("the broker at {url} cannot be reached"))
        .with_hint("check that it runs and that the address is right")
        .with_source(source)
}

/// Opens a connection.
pub(crate) async fn connect(url: &str, insecure: bool) -> Result<Socket, Error> {
    let mut target = check_address(url, insecure)?;
    target.set_path(CONNECT_PATH);
    target.set_query(None);
    target.set_fragment(None);
    let mut request = target.as_str().into_client_request().map_err(|error| unreachable_error(url, error))?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME))
        // The whole buffer is zeroed for every read.
        .read_buffer_size(16 * 1024);
    let opening = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
    match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(unreachable_error(url, error)),
        Err(elapsed) => Err(unreachable_error(url, elapsed)),
    }
}

/// What a connection tells its driver.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    Opened(mpsc::UnboundedSender<Vec<u8>>),
    Frame(Vec<u8>),
    Closed(Option<Error>),
}

/// Opens a connection in the background; every event carries `generation`, so that those of an older one are told apart.
/// Dropping the handle ends it.
pub(crate) fn spawn(url: String, insecure: bool, generation: u64, events: mpsc::Sender<(u64, LinkEvent)>) -> Link {
    let task = tokio::spawn(async move {
        let error = match connect(&url, insecure).await {
            Ok(socket) => run(socket, generation, &events).await,
            Err(error) => Some(error),
        };
        let _ = events.send((generation, LinkEvent::Closed(error))).await;
    });
    Link(task)
}

/// Ends the connection when dropped.
#[derive(Debug)]
pub(crate) struct Link(tokio::task::JoinHandle<()>);

impl Drop for Link {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(socket: Socket, generation: u64, events: &mpsc::Sender<(u64, LinkEvent)>) -> Option<Error> {
    let (mut sink, mut stream) = socket.split();
    let (outgoing, mut queue) = mpsc::unbounded_channel::<Vec<u8>>();
    if events.send((generation, LinkEvent::Opened(outgoing))).await.is_err() {
        return None;
    }
    let write = async {
        while let Some(frame) = queue.recv().await {
            sink.feed(Message::Binary(frame.into())).await?;
            // Whatever else waits leaves in the same write.
            while let Ok(frame) = queue.try_recv() {
                sink.feed(Message::Binary(frame.into())).await?;
            }
            sink.flush().await?;
        }
        sink.close().await
    };
    let read = async {
        while let Some(message) = stream.next().await {
            match message? {
                Message::Binary(bytes) => {
                    let told = events.send((generation, LinkEvent::Frame(bytes.into()))).await;
                    if told.is_err() {
                        break;
                    }
                }
                Message::Close(_) => break,
                _ => {}
            }
        }
        Ok::<(), tokio_tungstenite::tungstenite::Error>(())
    };
    let result = tokio::select! {
        result = write => result,
        result = read => result,
    };
    result
        .err()
        .map(|error| Error::new(ErrorKind::Unreachable, "the connection to the broker broke").with_source(error))
}
