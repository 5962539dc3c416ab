//! Both people write and read under load while their daemons and the broker are killed at random.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use claudemesh_core::testing::SeededRng;
use claudemesh_tests::e2e::{Broker, Listener, PATIENCE, Person, Scene, until, uuid};

const MESSAGES: usize = 300;
const KILLS: usize = 50;

/// Writes in order: a message that was not confirmed is sent again under its id.
fn write(from: &Person, to: &Person, ids: &[String], sent: &mpsc::Sender<()>) {
    for (number, id) in ids.iter().enumerate() {
        let body = format!("{} {number}", from.name());
        until("the message is queued", || {
            let ran = from.run(&["send", to.name(), &body, "--id", id, "--wait", "queued", "--json"]);
            (ran.code == Some(0)).then_some(())
        });
        let _ = sent.send(());
    }
}

/// Reads what comes, over and over.
fn read(person: &Person, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        // A kill in between is what this is about.
        let _ = person.run(&["inbox", "--unread", "--wait", "1", "--limit", "1000", "--json"]);
    }
}

fn kill_at_random(alice: &Person, bob: &Person, broker: &Mutex<Broker>, sent: &mpsc::Receiver<()>) -> usize {
    let seed = u64::from(std::process::id());
    println!("kills: seed {seed}");
    let mut rng = SeededRng::new(seed);
    let mut below = |n: u64| {
        let mut bytes = [0; 8];
        rand_core::Rng::fill_bytes(&mut rng, &mut bytes);
        u64::from_le_bytes(bytes) % n
    };
    let mut kills = 0;
    loop {
        for _ in 0..6 + below(8) {
            if sent.recv_timeout(PATIENCE).is_err() {
                return kills;
            }
        }
        kills += match below(3) {
            0 => alice.kill(),
            1 => bob.kill(),
            _ => {
                let mut broker = broker.lock().unwrap();
                broker.kill();
                broker.resume();
                1
            }
        };
    }
}

/// Every message is there once, and in the order it was written.
fn check_inbox(person: &Person, from: &Person, ids: &[String]) {
    let inbox = person.ok(&["inbox", "--peek", "--limit", "1000"]);
    let received = inbox["messages"].as_array().unwrap();
    let received: Vec<&str> = received
        .iter()
        .map(|message| message["id"].as_str().unwrap())
        .filter(|id| ids.iter().any(|i| i == id))
        .collect();
    assert_eq!(received, ids, "{} from {}", person.name(), from.name());
}

/// The sender's feed, which lived through all kills, tells of every message exactly once and of its last receipt.
fn check_feed(person: &Person, sent: &[String], received: &[String]) {
    let ears = Listener::start(person, &["--consumer", "audit"]);
    let mut states: BTreeMap<String, String> = BTreeMap::new();
    let mut heard = Vec::new();
    let read =
        |states: &BTreeMap<String, String>| sent.iter().all(|id| states.get(id).is_some_and(|state| state == "read"));
    while heard.len() < received.len() || !read(&states) {
        let event = ears.next();
        match event["type"].as_str().unwrap() {
            "message" => {
                let id = event["message"]["id"].as_str().unwrap().to_owned();
                if received.contains(&id) {
                    heard.push(id);
                }
            }
            "receipt" => {
                let (id, state) = (event["id"].as_str().unwrap(), event["state"].as_str().unwrap());
                states.insert(id.to_owned(), state.to_owned());
            }
            _ => {}
        }
    }
    assert_eq!(heard, received, "{}'s feed", person.name());
}

#[test]
fn kills_lose_nothing_and_duplicate_nothing() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    for (person, other) in [(&alice, &bob), (&bob, &alice)] {
        drop(Listener::hearing(person, other, &["--consumer", "audit"]));
    }
    let ids = || (0..MESSAGES).map(|_| uuid()).collect::<Vec<_>>();
    let (from_alice, from_bob) = (ids(), ids());
    let broker = Mutex::new(broker);
    let done = AtomicBool::new(false);
    let kills = std::thread::scope(|threads| {
        let (sent, ticks) = mpsc::channel();
        let also_sent = sent.clone();
        threads.spawn(|| read(&alice, &done));
        threads.spawn(|| read(&bob, &done));
        let (alice, bob, from_alice, from_bob) = (&alice, &bob, &from_alice, &from_bob);
        threads.spawn(move || write(alice, bob, from_alice, &sent));
        threads.spawn(move || write(bob, alice, from_bob, &also_sent));
        let kills = kill_at_random(alice, bob, &broker, &ticks);
        for (person, ids) in [(alice, from_bob), (bob, from_alice)] {
            until(&format!("{} has everything", person.name()), || {
                let inbox = person.run(&["inbox", "--peek", "--limit", "1000", "--json"]);
                (ids.iter().all(|id| inbox.out.contains(id.as_str()))).then_some(())
            });
        }
        done.store(true, Ordering::Relaxed);
        kills
    });
    println!("kills: {kills}");
    assert!(kills >= KILLS, "only {kills} kills");
    for person in [&alice, &bob] {
        until("nothing is unread", || {
            let inbox = person.ok(&["inbox", "--unread", "--limit", "1000"]);
            inbox["messages"].as_array()?.is_empty().then_some(())
        });
    }
    check_inbox(&alice, &bob, &from_bob);
    check_inbox(&bob, &alice, &from_alice);
    check_feed(&alice, &from_alice, &from_bob);
    check_feed(&bob, &from_bob, &from_alice);
    for id in from_alice.iter().step_by(50) {
        assert_eq!(alice.state(id), "read");
    }
}
