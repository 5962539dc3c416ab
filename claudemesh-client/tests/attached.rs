//! Every call through the daemon, compared with the same call on the far end itself.

use std::time::{Duration, Instant};

use claudemesh_client::service::Service;
use claudemesh_client::testing::Fake;
use claudemesh_client::{Attached, ErrorKind, Event, Holder, Home, Mesh, Receipt, api, daemon::Daemon};
use serde_json::{Value, json};

struct Served {
    fake: Fake,
    home: Home,
    daemon: Daemon,
    folder: tempfile::TempDir,
}

async fn served() -> Served {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path()).unwrap();
    let fake = Fake::new("team", "alice");
    fake.add_member("bob");
    let daemon = Daemon::serve(fake.service(), home.lock(Holder::Daemon).unwrap()).await.unwrap();
    Served { fake, home, daemon, folder }
}

fn json<T: serde::Serialize>(value: T) -> Value {
    serde_json::to_value(value).unwrap()
}

#[tokio::test]
async fn every_call_comes_back_as_the_service_answered() {
    let served = served().await;
    let (direct, attached) = (served.fake.service(), Attached::open(&served.home).await.unwrap());
    let id = served.fake.receive("bob", "ünï\u{1f980}\n\"\\");
    let team = Some("team");

    macro_rules! same {
        ($($call:tt)*) => {{
            let (there, here) = (attached.$($call)*.await.unwrap(), direct.$($call)*.await.unwrap());
            assert_eq!(json(&there), json(&here), "{}", stringify!($($call)*));
            there
        }};
    }
    same!(status());
    same!(meshes());
    same!(mesh_use("team"));
    same!(mesh_rename("team", "team"));
    same!(mesh_delete("team"));
    same!(whoami(team));
    same!(whoami(None));
    let invite = attached.invite(team, api::InviteRequest { uses: 3, ..Default::default() }).await.unwrap();
    assert_eq!((invite.uses, invite.state.as_str()), (3, "open"));
    same!(invites(team));
    same!(invite_revoke(team, &invite.id[..8]));
    let request = api::SendRequest {
        to: vec!["bob".into()],
        text: "a b&c=d%20é".into(),
        priority: api::Priority::Low,
        id: Some("018f4d0e-0000-7000-8000-000000000009".into()),
        ..Default::default()
    };
    let sent = same!(send(team, request.clone()));
    assert_eq!(json(served.fake.sent()), json(vec![request]));
    same!(wait(team, api::WaitRequest { id: sent.id.clone(), state: api::State::Queued, timeout_ms: 10 }));
    same!(wait(team, api::WaitRequest { id: sent.id.clone(), state: api::State::Read, timeout_ms: 10 }));
    same!(message_status(team, &sent.id));
    let query = api::InboxQuery { unread: true, limit: 7, wait_ms: 1, session: Some("main".into()) };
    assert_eq!(same!(inbox(team, query.clone())).messages.len(), 1);
    let member = served.fake.service().inbox(team, query.clone()).await.unwrap().messages.remove(0).from.member;
    same!(mark_read(
        team,
        api::ReadRequest { messages: vec![api::MessageName { id: id.clone(), member: member.clone() }], session: None }
    ));
    assert!(same!(inbox(team, query.clone())).messages.is_empty());
    same!(peers(team, false));
    same!(set_presence(
        team,
        api::PresenceRequest { status: Some(api::Activity::Dnd), summary: Some("x".into()), session: None }
    ));
    same!(members(team));
    same!(member_role(team, "bob", "admin"));
    same!(member_remove(team, "bob"));
    assert_eq!(same!(peers(team, true)).peers.len(), same!(peers(team, false)).peers.len() + 1);
    same!(ack(team, api::AckRequest { consumer: "c".into(), position: 1 }));
    let up = attached.up(api::UpRequest { mesh: Some("new".into()), ..Default::default() }).await.unwrap();
    assert!(up.created && up.recovery_key.is_some());
    same!(up(api::UpRequest { mesh: Some("new".into()), ..Default::default() }));
    let join = api::JoinRequest { link: "http://127.0.0.1:1/i#joined".into(), ..Default::default() };
    assert_eq!(attached.join(join).await.unwrap().mesh.label, "joined");
    assert_eq!(attached.mesh_leave("joined").await.unwrap().state, "left");
    assert_eq!(attached.whoami(Some("joined")).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_send_without_an_id_gets_one_so_that_it_can_be_repeated() {
    let served = served().await;
    let attached = Attached::open(&served.home).await.unwrap();
    let request = api::SendRequest { to: vec!["bob".into()], text: "hi".into(), ..Default::default() };
    let sent = attached.send(None, request).await.unwrap();
    assert_eq!(served.fake.sent()[0].id.as_deref(), Some(sent.id.as_str()));
}

#[tokio::test]
async fn too_large_a_request_is_refused_before_it_is_sent() {
    let served = served().await;
    let attached = Attached::open(&served.home).await.unwrap();
    let request = api::SendRequest { text: "x".repeat(2 << 20), ..Default::default() };
    assert_eq!(attached.send(None, request).await.unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(served.fake.calls(), 0);
}

#[tokio::test]
async fn the_documented_loop_runs_through_a_daemon() {
    let served = served().await;
    served.fake.confirm_sends(api::State::Delivered);
    // The daemon answers, so opening the home attaches.
    let mesh = Mesh::builder().home(served.folder.path()).mesh("team").open().await.unwrap();
    assert!(!mesh.is_embedded());
    mesh.send("bob", "build is green").await.unwrap().wait(Receipt::Delivered).await.unwrap();
    let mut events = mesh.events_from("bot").await.unwrap();
    served.fake.receive("bob", "well done");
    let delivered = events.next().await.unwrap().unwrap();
    let Event::Message(message) = &delivered.event else { panic!("{delivered:?}") };
    message.reply("thanks").await.unwrap();
    delivered.ack().await.unwrap();
    assert_eq!(served.fake.sent_texts(), ["build is green", "thanks"]);
    // Closing an attached handle leaves the daemon to others.
    mesh.close().await.unwrap();
    Attached::open(&served.home).await.unwrap().whoami(None).await.unwrap();
    served.daemon.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_warm_call_takes_milliseconds() {
    let served = served().await;
    let attached = Attached::open(&served.home).await.unwrap();
    attached.whoami(None).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        attached.whoami(None).await.unwrap();
        times.push(start.elapsed());
    }
    times.sort();
    println!("median of a call: {:?}", times[25]);
    assert!(times[25] < Duration::from_millis(20), "{:?}", times[25]);
}

#[tokio::test]
async fn the_version_is_the_daemons() {
    let served = served().await;
    let attached = Attached::open(&served.home).await.unwrap();
    let expected = json!({"version": env!("CARGO_PKG_VERSION"), "api": 2, "pid": std::process::id()});
    assert_eq!(json(attached.version()), expected);
}
