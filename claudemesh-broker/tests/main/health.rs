use claudemesh_broker::{Broker, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Status line and body of a plain request.
async fn get(broker: &Broker, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(broker.local_addr()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: broker\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[tokio::test]
async fn health_is_answered_beside_the_websocket() {
    let broker = Broker::bind(Config::in_memory()).await.unwrap();
    assert_eq!(get(&broker, "/health").await, ("HTTP/1.1 200 OK".into(), r#"{"status":"ok"}"#.into()));
    let (status, body) = get(&broker, "/health/ready").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(body.starts_with(r#"{"status":"ready","schema":1,"#), "{body}");
    assert!(get(&broker, "/i").await.1.contains("claudemesh join"));
    assert_eq!(get(&broker, "/elsewhere").await.0, "HTTP/1.1 404 Not Found");
    // The endpoint is for WebSockets only.
    assert!(get(&broker, "/v1/connect").await.0.starts_with("HTTP/1.1 4"));
    broker.shutdown().await;
}

#[tokio::test]
async fn who_does_not_finish_its_request_is_closed() {
    let impatient = Config::in_memory().with_engine(|engine| engine.hello_timeout = 300);
    let broker = Broker::bind(impatient).await.unwrap();
    for said in ["", "GET /health HTTP/1.1\r\nHost: bro", "GET /v1/connect HTTP/1.1\r\nUpgrade: websocket\r\n"] {
        let mut stream = TcpStream::connect(broker.local_addr()).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(!answer.contains("200 OK"), "{said:?}: {answer}");
    }
    // A connection that is kept has as long for its next request.
    let mut stream = TcpStream::connect(broker.local_addr()).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: broker\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    broker.shutdown().await;
}

#[tokio::test]
async fn the_key_and_the_store_outlive_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker");
    let first = Broker::bind(Config::in_directory(&path)).await.unwrap();
    let key = first.public_key();
    // One folder, one broker.
    assert!(Broker::bind(Config::in_directory(&path)).await.is_err());
    let store = first.engine().store().meta().await.unwrap().store_id;
    first.shutdown().await;
    let second = Broker::bind(Config::in_directory(&path)).await.unwrap();
    assert_eq!(second.public_key(), key);
    assert_eq!(second.engine().store().meta().await.unwrap().store_id, store);
    second.shutdown().await;
}
