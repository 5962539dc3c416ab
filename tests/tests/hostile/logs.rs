//! A broker that withholds entries of logs.

use claudemesh_core::log::{EntryKind, LogEntry};
use claudemesh_core::wire::{self, Body, Frame};
use claudemesh_tests::hostile::{Citizen, Town, Verdict, Way, deliver, settled, warned, warnings};

/// Serves entries with records as if they had been compacted.
fn withhold(way: Way, frame: &Frame) -> Verdict {
    let Body::LogPush(push) = &frame.body else { return Verdict::Pass };
    match LogEntry::parse(push.entry.clone()) {
        Ok(entry) if way == Way::Down && entry.body().kind == EntryKind::Records => {
            let entry = entry.hash().to_vec().into();
            Verdict::frame(0, wire::LogPush { log: push.log, offset: push.offset, entry })
        }
        _ => Verdict::Pass,
    }
}

async fn value(who: &Citizen, key: &str) -> Option<String> {
    who.mesh.state().get::<u64>(key).await.ok().map(|value| value.to_string())
}

#[tokio::test]
async fn an_entry_withheld_as_if_compacted_is_reported_and_the_log_stops() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    bob.mallory.tamper(withhold);
    alice.mesh.state().set("hidden", 1).await.unwrap();
    warned(&bob.mesh, "log_withheld").await;
    assert_eq!(value(&bob, "hidden").await, None);
    // What the broker says of that log from now on is not believed; mail is another matter.
    bob.mallory.reform();
    let mark = bob.mallory.mark();
    alice.mesh.state().set("later", 1).await.unwrap();
    bob.mallory.sees("the entry", mark, |_, frame| matches!(frame.body, Body::LogPush(_)).then_some(())).await;
    deliver(&alice, &bob, "bob").await;
    assert_eq!(value(&bob, "later").await, None);
}

#[tokio::test]
async fn a_compacted_log_is_no_withheld_one() {
    let town = Town::new().await;
    let alice = town.founder().await;
    for n in 0..20 {
        alice.mesh.state().set("a", n).await.unwrap();
    }
    assert!(alice.mesh.compact().await.unwrap() >= 15);
    let bob = town.guest("bob", &alice).await;
    settled("the value", async || (value(&bob, "a").await.as_deref() == Some("19")).then_some(())).await;
    let mark = bob.mallory.mark();
    alice.mesh.state().set("a", 20).await.unwrap();
    bob.mallory.sees("the entry", mark, |_, frame| matches!(frame.body, Body::LogPush(_)).then_some(())).await;
    deliver(&alice, &bob, "bob").await;
    assert!(warnings(&bob.mesh).await.is_empty());
}

#[tokio::test]
async fn a_broker_that_claims_that_more_is_to_come_is_asked_again() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    bob.mallory.tamper(|way, frame| match &frame.body {
        Body::LogEntries(reply) if way == Way::Down => {
            Verdict::frame(frame.request, wire::LogEntries { tail: reply.tail + 1, ..reply.clone() })
        }
        _ => withhold(way, frame),
    });
    alice.mesh.state().set("hidden", 1).await.unwrap();
    bob.mallory
        .sees("a question", 0, |way, frame| (way == Way::Up && matches!(frame.body, Body::LogRange(_))).then_some(()))
        .await;
    deliver(&alice, &bob, "bob").await;
    assert!(warnings(&bob.mesh).await.is_empty(), "so far it may be true");
    bob.mallory.tamper(withhold);
    bob.mallory.cut();
    warned(&bob.mesh, "log_withheld").await;
}
