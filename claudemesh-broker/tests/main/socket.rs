use claudemesh_broker::{Broker, Config};
use claudemesh_core::roster::{Kind, create_genesis};
use claudemesh_core::testing::SeededRng;
use claudemesh_core::wire::{
    self, Body, CONNECT_PATH, ClientHandshake, Closing, Frame, HelloMode, MAX_FRAME, SUBPROTOCOL,
};
use claudemesh_core::{MeshId, SigningKey};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::Request;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn request(broker: &Broker, protocol: Option<&str>) -> Request<()> {
    let mut request = format!("{}{CONNECT_PATH}", broker.url()).into_client_request().unwrap();
    if let Some(protocol) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    request
}

async fn open(broker: &Broker) -> Socket {
    let (socket, response) = connect_async(request(broker, Some(SUBPROTOCOL))).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], SUBPROTOCOL);
    socket
}

async fn send(socket: &mut Socket, frame: Frame) {
    socket.send(Message::Binary(frame.encode().into())).await.unwrap();
}

/// The next frame; none when the broker closed.
async fn next(socket: &mut Socket) -> Option<Body> {
    loop {
        match socket.next().await?.ok()? {
            Message::Binary(bytes) => return Some(Frame::decode(&bytes).unwrap().body),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

async fn hello(broker: &Broker, mesh: MeshId, key: &SigningKey, mode: HelloMode) -> Socket {
    let mut socket = open(broker).await;
    let Some(Body::Challenge(challenge)) = next(&mut socket).await else { panic!("the broker speaks first") };
    let keys = [broker.public_key()];
    let mut rng = SeededRng::new(3);
    let (client, hello) =
        ClientHandshake::start(&challenge, &keys, mesh, key, mode, None, None, b"", &mut rng).unwrap();
    send(&mut socket, Frame::new(1, hello)).await;
    let Some(Body::WelcomeFrame(welcome)) = next(&mut socket).await else { panic!("not welcome") };
    client.finish(&welcome).unwrap();
    socket
}

/// A mesh at the broker, and its owner's key.
async fn mesh(broker: &Broker) -> (MeshId, SigningKey) {
    let mut rng = SeededRng::new(1);
    let key = SigningKey::generate(&mut rng);
    let recovery = SigningKey::generate(&mut rng).public();
    let (genesis, mesh, _) = create_genesis(&key, &recovery, Kind::Human, &mut rng).unwrap();
    let mut socket = hello(broker, mesh, &key, HelloMode::Create).await;
    send(&mut socket, Frame::new(2, wire::RosterAppend { entry: genesis.into() })).await;
    assert_eq!(next(&mut socket).await, Some(Body::Done(wire::Done {})));
    socket.close(None).await.unwrap();
    (mesh, key)
}

#[tokio::test]
async fn a_device_connects_and_is_answered() {
    let broker = Broker::bind(Config::in_memory()).await.unwrap();
    let (mesh, key) = mesh(&broker).await;
    let mut socket = hello(&broker, mesh, &key, HelloMode::Device).await;
    assert!(matches!(next(&mut socket).await, Some(Body::PresencePush(push)) if push.devices.len() == 1));
    // Many requests at once are each answered.
    for request in 1..=200 {
        send(&mut socket, Frame::new(request, wire::LogList {})).await;
    }
    for _ in 0..200 {
        assert!(matches!(next(&mut socket).await, Some(Body::Logs(_))));
    }
    broker.shutdown().await;
}

#[tokio::test]
async fn the_subprotocol_is_required() {
    let broker = Broker::bind(Config::in_memory()).await.unwrap();
    for protocol in [None, Some("claudemesh.v9")] {
        let refused = connect_async(request(&broker, protocol)).await.unwrap_err();
        assert!(matches!(refused, tungstenite::Error::Http(response) if response.status() == 400));
    }
    assert_eq!(broker.engine().connections(), 0);
}

#[tokio::test]
async fn who_does_not_say_hello_is_closed() {
    let impatient = Config::in_memory().with_engine(|engine| engine.hello_timeout = 300);
    let broker = Broker::bind(impatient).await.unwrap();
    let mut silent = open(&broker).await;
    assert!(matches!(next(&mut silent).await, Some(Body::Challenge(_))));
    assert_eq!(next(&mut silent).await, Some(Body::Close(wire::Close { code: Closing::Protocol })));
    assert_eq!(next(&mut silent).await, None);
    assert_eq!(broker.engine().connections(), 0);
    broker.shutdown().await;
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_the_connection_and_no_other() {
    let broker = Broker::bind(Config::in_memory()).await.unwrap();
    let (mesh, key) = mesh(&broker).await;
    let mut good = hello(&broker, mesh, &key, HelloMode::Device).await;
    let mut bad = open(&broker).await;
    assert!(next(&mut bad).await.is_some());
    let _ = bad.send(Message::Binary(vec![0; MAX_FRAME + 1].into())).await;
    while next(&mut bad).await.is_some() {}
    let mut text = open(&broker).await;
    assert!(next(&mut text).await.is_some());
    text.send(Message::Text("hello".into())).await.unwrap();
    assert_eq!(next(&mut text).await, Some(Body::Close(wire::Close { code: Closing::Protocol })));
    assert_eq!(next(&mut text).await, None);
    send(&mut good, Frame::new(5, wire::Ping { time: 5 })).await;
    loop {
        match next(&mut good).await {
            Some(Body::Pong(pong)) => break assert_eq!(pong.time, 5),
            Some(_) => {}
            None => panic!("the good connection ended"),
        }
    }
}

#[tokio::test]
async fn a_shutdown_says_goodbye_and_closes() {
    let broker = Broker::bind(Config::in_memory()).await.unwrap();
    let (mesh, key) = mesh(&broker).await;
    let mut socket = hello(&broker, mesh, &key, HelloMode::Device).await;
    let waiting = open(&broker).await;
    let address = broker.local_addr();
    broker.shutdown().await;
    let mut last = None;
    while let Some(body) = next(&mut socket).await {
        last = Some(body);
    }
    assert_eq!(last, Some(Body::Close(wire::Close { code: Closing::Shutdown })));
    drop(waiting);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn more_connections_than_fit_are_told_at_the_door() {
    let config = Config::in_memory().with_engine(|engine| engine.max_connections = 1);
    let broker = Broker::bind(config).await.unwrap();
    let _first = open(&broker).await;
    let refused = connect_async(request(&broker, Some(SUBPROTOCOL))).await.unwrap_err();
    assert!(matches!(refused, tungstenite::Error::Http(response) if response.status() == 503));
}
