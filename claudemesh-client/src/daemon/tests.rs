use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;
use crate::api;
use crate::attach::Attached;
use crate::home::Home;
use crate::local::{BODY_LIMIT, LOCAL_API};
use crate::testing::Fake;

struct Served {
    fake: Fake,
    home: Home,
    daemon: Daemon,
    attached: Attached,
    _folder: tempfile::TempDir,
}

async fn start(home: &Home, fake: &Fake) -> Daemon {
    Daemon::serve(fake.service(), lock(home).await.unwrap()).await.unwrap()
}

async fn served() -> Served {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path()).unwrap();
    let fake = Fake::new("team", "alice");
    fake.add_member("bob");
    let daemon = start(&home, &fake).await;
    let attached = Attached::open(&home).await.unwrap();
    Served { fake, home, daemon, attached, _folder: folder }
}

/// A request as any program could write it; the status and the body of the answer.
async fn raw(served: &Served, head: &str, body: &[u8]) -> (StatusCode, String) {
    let mut stream = UnixStream::connect(served.daemon.socket()).await.unwrap();
    let length = body.len();
    let head = format!("{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (StatusCode::from_bytes(&head.as_bytes()[9..12]).unwrap(), body.to_owned())
}

async fn refused(served: &Served, head: &str, body: &[u8]) -> StatusCode {
    let (status, body) = raw(served, head, body).await;
    let body: api::ErrorBody = serde_json::from_str(&body).unwrap();
    assert_eq!(body.error.code, "usage", "{head}");
    status
}

#[tokio::test]
async fn bad_requests_get_a_typed_answer_and_the_daemon_goes_on() {
    let served = served().await;
    let large = vec![b' '; BODY_LIMIT + 1];
    let deep = "[".repeat(10_000);
    for (head, body, status) in [
        ("GET /v1/nothing", b"".as_slice(), StatusCode::NOT_FOUND),
        ("GET /", b"", StatusCode::NOT_FOUND),
        ("DELETE /v1/send", b"", StatusCode::METHOD_NOT_ALLOWED),
        ("POST /v1/send", b"", StatusCode::BAD_REQUEST),
        ("POST /v1/send", b"{", StatusCode::BAD_REQUEST),
        ("POST /v1/send", b"\xff\xfe", StatusCode::BAD_REQUEST),
        ("POST /v1/send", deep.as_bytes(), StatusCode::BAD_REQUEST),
        ("POST /v1/send", br#"{"to":"bob"}"#, StatusCode::BAD_REQUEST),
        ("POST /v1/send?mseh=team", b"{}", StatusCode::BAD_REQUEST),
        ("POST /v1/send", &large, StatusCode::PAYLOAD_TOO_LARGE),
        ("POST /v1/wait", b"{}", StatusCode::BAD_REQUEST),
        ("POST /v1/mesh/use", b"", StatusCode::BAD_REQUEST),
        ("GET /v1/inbox?limit=-1", b"", StatusCode::BAD_REQUEST),
        ("GET /v1/inbox?unred=true", b"", StatusCode::BAD_REQUEST),
        ("GET /v1/message", b"", StatusCode::BAD_REQUEST),
        ("GET /v1/events?after=x", b"", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(refused(&served, head, body).await, status, "{head}");
    }
    served.attached.whoami(None).await.unwrap();
    assert!(served.fake.sent().is_empty());
}

#[tokio::test]
async fn a_request_that_is_no_http_harms_nobody() {
    let served = served().await;
    let mut stream = UnixStream::connect(served.daemon.socket()).await.unwrap();
    stream.write_all(b"\x16\x03\x01 what is this\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    served.attached.whoami(None).await.unwrap();
}

#[tokio::test]
async fn every_kind_of_error_arrives_as_it_was() {
    let served = served().await;
    for kind in ErrorKind::ALL {
        served.fake.fail_next(Error::new(kind, format!("about {}", kind.code())).with_hint("do this"));
        let error = served.attached.send(None, api::SendRequest::default()).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!((error.message(), error.hint()), (format!("about {}", kind.code()).as_str(), Some("do this")));
    }
}

#[tokio::test]
async fn warnings_come_with_every_answer_about_their_mesh() {
    let served = served().await;
    served.fake.add_mesh("other", "alice");
    let (attached, team) = (&served.attached, Some("team"));
    attached.whoami(team).await.unwrap();
    assert!(attached.warnings(None).await.is_empty());
    served.fake.warn(&["clock_skew", "from_the_future"]);
    let warned = async || attached.warnings(None).await == ["clock_skew", "from_the_future"];
    attached.whoami(team).await.unwrap();
    assert!(warned().await);
    attached.whoami(Some("other")).await.unwrap();
    assert!(!warned().await, "another mesh");
    attached.up(api::UpRequest { mesh: Some("team".into()), ..Default::default() }).await.unwrap();
    assert!(warned().await, "the mesh that the answer names");
    attached.send(team, api::SendRequest::default()).await.unwrap_err();
    assert!(warned().await, "an error");
    drop(attached.events(Some("other"), api::EventsQuery::default()).await.unwrap());
    assert!(!warned().await);
    drop(attached.events(team, api::EventsQuery::default()).await.unwrap());
    assert!(warned().await, "the feed");
    served.fake.warn(&[]);
    attached.whoami(team).await.unwrap();
    assert!(attached.warnings(None).await.is_empty(), "it is over");
}

#[tokio::test]
async fn the_socket_is_the_owners_and_is_gone_after_a_stop() {
    let served = served().await;
    let socket = served.daemon.socket().to_owned();
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    served.attached.shutdown().await.unwrap();
    assert!(!socket.exists());
    served.daemon.join().await.unwrap();
    drop(served.home.lock(Holder::Program).unwrap());
    let error = served.attached.whoami(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(!Attached::stop(&served.home).await.unwrap());
}

#[tokio::test]
async fn one_home_has_one_daemon() {
    let served = served().await;
    assert_eq!(lock(&served.home).await.unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(served.home.lock(Holder::Program).unwrap_err().kind(), ErrorKind::Locked);
    served.attached.whoami(None).await.unwrap();
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_another_file_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path()).unwrap();
    let socket = home.prepare_socket().unwrap();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert_eq!(Attached::open(&home).await.unwrap_err().kind(), ErrorKind::Unreachable);
    let fake = Fake::new("team", "alice");
    start(&home, &fake).await.shutdown().await.unwrap();

    std::fs::write(&socket, "precious").unwrap();
    assert_eq!(Attached::open(&home).await.unwrap_err().kind(), ErrorKind::Unreachable);
    let error = Daemon::serve(fake.service(), lock(&home).await.unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unwritable);
    assert_eq!(std::fs::read(&socket).unwrap(), b"precious");
}

#[tokio::test]
async fn a_socket_that_something_removed_comes_back() {
    let served = served().await;
    std::fs::remove_file(served.daemon.socket()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), async {
        while Attached::open(&served.home).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_home_with_a_long_path_is_served_on_a_short_one() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path().join("d".repeat(120))).unwrap();
    let fake = Fake::new("team", "alice");
    let daemon = start(&home, &fake).await;
    Attached::open(&home).await.unwrap().whoami(None).await.unwrap();
    daemon.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_daemon_of_another_api_is_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let other = crate::local::Version { version: "9.9.9".into(), api: LOCAL_API + 1, pid: 7 };
    let router = axum::Router::new().route("/v1/version", axum::routing::get(|| async { axum::Json(other) }));
    let server = tokio::spawn(async { axum::serve(listener, router).await });
    let error = Attached::at(&socket).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.hint().unwrap().contains("claudemesh down"));
    server.abort();
}

#[tokio::test]
async fn something_else_on_the_socket_is_no_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let router = axum::Router::new().fallback(|| async { "hello" });
    let server = tokio::spawn(async { axum::serve(listener, router).await });
    assert_eq!(Attached::at(&socket).await.unwrap_err().kind(), ErrorKind::Unreachable);
    server.abort();
}

#[tokio::test]
async fn events_go_on_after_a_restart_without_loss_or_repetition() {
    let served = served().await;
    let mut feed = served.attached.events(None, api::EventsQuery::default()).await.unwrap();
    served.fake.receive("bob", "1");
    let first = feed.next().await.unwrap().unwrap();
    served.daemon.shutdown().await.unwrap();
    served.fake.receive("bob", "2");
    served.fake.receive_in("bob", "for another session", "other");
    let daemon = start(&served.home, &served.fake).await;
    served.fake.receive("bob", "3");
    let second = feed.next().await.unwrap().unwrap();
    let third = feed.next().await.unwrap().unwrap();
    let texts = [first, second, third].map(|record| match record.event {
        api::Event::Message { message } => message.body,
        other => panic!("{other:?}"),
    });
    assert_eq!(texts, ["1", "2", "3"]);
    daemon.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_reader_that_saw_nothing_yet_loses_nothing_either() {
    let served = served().await;
    let other = served.fake.add_mesh("other", "alice");
    served.attached.mesh_use("team").await.unwrap();
    let mut feed = served.attached.events(None, api::EventsQuery::default()).await.unwrap();
    served.daemon.shutdown().await.unwrap();
    served.fake.receive("bob", "while it was away");
    // What is selected meanwhile must not lead the reader into another mesh.
    served.fake.service().mesh_use(&other).await.unwrap();
    let _daemon = start(&served.home, &served.fake).await;
    let record = feed.next().await.unwrap().unwrap();
    assert!(matches!(record.event, api::Event::Message { message } if message.body == "while it was away"));
}

#[tokio::test]
async fn lost_events_are_an_event() {
    let served = served().await;
    for _ in 0..5 {
        served.fake.receive("bob", "hi");
    }
    served.fake.forget_events(4);
    let query = api::EventsQuery { after: Some(1), ..Default::default() };
    let mut feed = served.attached.events(None, query).await.unwrap();
    let lagged = feed.next().await.unwrap().unwrap();
    assert!(matches!(lagged.event, api::Event::Lagged { missed: 3 }));
    assert_eq!(feed.next().await.unwrap().unwrap().position, 5);
}

#[tokio::test]
async fn a_mesh_that_is_gone_ends_the_feed_with_its_error() {
    let served = served().await;
    let mut feed = served.attached.events(None, api::EventsQuery::default()).await.unwrap();
    served.daemon.shutdown().await.unwrap();
    served.fake.service().mesh_leave("team").await.unwrap();
    let _daemon = start(&served.home, &served.fake).await;
    assert_eq!(feed.next().await.unwrap().unwrap_err().kind(), ErrorKind::NotFound);
    assert!(feed.next().await.is_none());
}

#[tokio::test]
async fn a_stop_answers_those_who_wait() {
    let served = served().await;
    let request = api::SendRequest { to: vec!["bob".into()], text: "hi".into(), ..Default::default() };
    let sent = served.attached.send(None, request).await.unwrap();
    let attached = served.attached.clone();
    let waiting = tokio::spawn(async move {
        let request = api::WaitRequest { id: sent.id, state: api::State::Read, timeout_ms: 60_000 };
        attached.wait(None, request).await
    });
    while served.fake.calls() < 2 {
        tokio::task::yield_now().await;
    }
    served.daemon.shutdown().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Unreachable);
}

#[tokio::test]
async fn a_call_is_done_even_if_its_caller_goes_away() {
    let served = served().await;
    served.fake.pause_sends();
    let body = br#"{"to":["bob"],"text":"hi"}"#;
    let mut stream = UnixStream::connect(served.daemon.socket()).await.unwrap();
    let head = format!("POST /v1/send HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    while served.fake.paused_sends() == 0 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    for _ in 0..3 {
        served.attached.whoami(None).await.unwrap();
    }
    served.fake.resume_sends();
    tokio::time::timeout(Duration::from_secs(5), async {
        while served.fake.sent().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_stop_waits_for_calls_under_way_and_for_a_daemon_that_is_ending() {
    let served = served().await;
    served.fake.pause_sends();
    let attached = served.attached.clone();
    let request = api::SendRequest { to: vec!["bob".into()], text: "hi".into(), ..Default::default() };
    let sending = tokio::spawn(async move { attached.send(None, request).await });
    while served.fake.paused_sends() == 0 {
        tokio::task::yield_now().await;
    }
    let (home, other) = (served.home.clone(), served.home.clone());
    let first = tokio::spawn(async move { Attached::stop(&home).await });
    while UnixStream::connect(served.daemon.socket()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    // Nobody answers any more, but the home is not free: both a second stop and a new daemon wait for it.
    let second = tokio::spawn(async move { Attached::stop(&other).await });
    let next = {
        let home = served.home.clone();
        tokio::spawn(async move { lock(&home).await })
    };
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!first.is_finished() && !next.is_finished() && !second.is_finished());
    served.fake.resume_sends();
    sending.await.unwrap().unwrap();
    assert!(first.await.unwrap().unwrap());
    drop(next.await.unwrap().unwrap());
    assert!(second.await.unwrap().unwrap());
}

#[tokio::test]
async fn what_a_program_took_for_itself_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let lock = Home::at(folder.path()).unwrap().lock(Holder::Program).unwrap();
    let service: Arc<dyn Service> = Fake::empty().service();
    assert_eq!(Daemon::serve(service, lock).await.unwrap_err().kind(), ErrorKind::Usage);
}
