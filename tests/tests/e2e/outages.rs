//! Somebody is away, or a wire is dead without anybody being told.

use claudemesh_broker::{Broker as InProcess, Config};
use claudemesh_tests::e2e::{Proxy, Scene, free_address, until};

#[test]
fn a_receiver_may_be_offline_for_the_whole_send() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    bob.ok(&["down"]);
    let bodies: Vec<String> = (0..20).map(|number| format!("note {number}")).collect();
    let ids: Vec<String> = bodies.iter().map(|body| alice.send("bob", body, &["--wait", "accepted"])).collect();
    alice.ok(&["down"]);
    let received: Vec<String> = bob.receive(20).iter().map(|m| m["body"].as_str().unwrap().to_owned()).collect();
    assert_eq!(received, bodies);
    bob.ok(&["down"]);
    for id in [&ids[0], &ids[19]] {
        alice.reaches(id, "read");
    }
}

#[test]
fn without_a_broker_a_message_stays_queued_and_goes_out_later() {
    let scene = Scene::new();
    let mut broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    broker.kill();
    alice.is_connected(false);
    let said = alice.run(&["send", "bob", "said"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("queued") && said.out.contains("unreachable"), "{}", said.out);
    let sent = alice.ok(&["send", "bob", "kept", "--wait", "queued"]);
    assert_eq!(sent["state"], "queued");
    let status = alice.ok(&["status"]);
    assert_eq!(status["meshes"][0]["queued"], 2, "{status}");
    assert!(status["meshes"][0]["last_error"].is_string(), "{status}");
    alice.fails(&["invite"], 6, "unreachable");
    // The sender's machine may go down meanwhile.
    assert_eq!(alice.kill(), 1);
    broker.resume();
    alice.ok(&["up"]);
    let received = bob.receive(2);
    assert_eq!((&received[0]["body"], &received[1]["body"]), (&"said".into(), &"kept".into()));
    alice.reaches(sent["id"].as_str().unwrap(), "read");
}

#[test]
fn a_mesh_cannot_be_founded_or_joined_without_its_broker() {
    let scene = Scene::new();
    let alice = scene.person("alice");
    let nowhere = format!("ws://{}", free_address());
    alice.fails(&["up", "--name", "alice", "--broker", &nowhere], 6, "unreachable");
    let mut broker = scene.broker();
    alice.ok(&["up", "--name", "alice", "--broker", &broker.url()]);
    let link = claudemesh_tests::e2e::link(&alice);
    broker.kill();
    scene.person("bob").fails(&["join", &link, "--name", "bob"], 6, "unreachable");
}

#[test]
fn a_broker_that_stands_still_delays_and_loses_nothing() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    broker.freeze();
    let sent = alice.ok(&["send", "bob", "through the ice"]);
    assert_eq!(sent["state"], "queued");
    broker.thaw();
    assert_eq!(bob.receive(1)[0]["id"], sent["id"]);
    assert_eq!(bob.bodies(), ["through the ice"]);
}

/// The broker is one in this process, because its interval of pings can be shortened there.
#[test]
fn a_dead_wire_is_noticed_and_replaced() {
    let scene = Scene::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Config::in_directory(scene.join("broker")).with_engine(|engine| engine.limits.ping_interval = 1);
    let broker = runtime.block_on(InProcess::bind(config)).unwrap();
    let proxy = Proxy::start(&broker.local_addr().to_string());
    let alice = scene.person("alice");
    alice.ok(&["up", "--name", "alice", "--broker", &proxy.url()]);
    let bob = scene.guest("bob", &alice);
    alice.send("bob", "alive", &["--wait", "delivered"]);

    let before = proxy.opened();
    proxy.deaden();
    let id = alice.send("bob", "into the void", &["--wait", "queued"]);
    until("the message went into the dead wire", || {
        assert_eq!(alice.state(&id), "queued");
        (proxy.swallowed() > 0).then_some(())
    });
    assert_eq!(bob.receive(2)[1]["body"], "into the void");
    alice.reaches(&id, "read");
    assert!(proxy.opened() >= before + 2, "both have connected anew");
    assert_eq!(bob.bodies(), ["alive", "into the void"]);
    drop((alice, bob));
    runtime.block_on(broker.shutdown());
}
