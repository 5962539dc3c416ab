//! Stores that went back: the broker's, and a copied home. And a broker that is another one.

use std::path::Path;

use claudemesh_broker::{Broker, Config};
use claudemesh_client::{ErrorKind, Mesh, Receipt, api};
use claudemesh_core::wire::Body;
use claudemesh_tests::hostile::{Mallory, PATIENCE, Town, Verdict, bodies, deliver, warned, warnings};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(file.file_name());
        match file.file_type().unwrap() {
            kind if kind.is_dir() => copy(&file.path(), &target),
            kind if kind.is_file() => drop(std::fs::copy(file.path(), target).unwrap()),
            // A socket of somebody who has gone.
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_broker_that_went_back_is_named_and_given_what_it_lost() {
    let mut town = Town::on_disk().await;
    let (alice, bob) = town.pair().await;
    deliver(&alice, &bob, "bob").await;
    let (lived, earlier) = (town.path().join("broker"), town.path().join("earlier"));
    // Ends the broker and lets another one, with its key, serve a folder in its place.
    let replace = async |town: &mut Town, folder: &Path, before: &dyn Fn()| {
        let nobody = Broker::bind(Config::in_memory()).await.unwrap();
        std::mem::replace(&mut town.broker, nobody).shutdown().await;
        before();
        town.broker = town.broker_on(folder).await;
        for who in [&alice, &bob] {
            who.mallory.turn_to(&town.broker.url());
            who.mallory.cut();
        }
    };
    // A backup is taken; then the broker lives on and takes a message, which it still has to deliver.
    replace(&mut town, &lived, &|| copy(&lived, &earlier)).await;
    bob.connected().await;
    bob.mallory.tamper(|_, frame| match &frame.body {
        Body::Deliver(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    let sent = alice.accepted("bob", "after the backup").await;
    // The disk dies, and the backup is put in its place.
    replace(&mut town, &earlier, &|| ()).await;
    warned(&alice.mesh, "broker_rolled_back").await;
    bob.mallory.reform();
    bob.mallory.cut();
    sent.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    deliver(&alice, &bob, "bob").await;
    deliver(&bob, &alice, "alice").await;
    let bodies = bodies(&bob.mesh).await;
    assert_eq!(bodies.len(), 3, "{bodies:?}");
    assert_eq!(bodies[1], "after the backup");
}

#[tokio::test]
async fn a_copied_home_is_named_a_clone_and_says_nothing() {
    let town = Town::new().await;
    let alice = town.founder().await;
    let [home, copied] = ["bob", "copy"].map(|name| town.path().join(name));
    let mut bob = town.joiner("bob", &alice.link().await, Some(&home)).await;
    alice.knows("bob").await;
    bob.knows("alice").await;
    deliver(&bob, &alice, "alice").await;
    bob.mesh.close().await.unwrap();
    copy(&home, &copied);
    // The original goes on; what it sends now the copy knows nothing of.
    bob.mesh = Mesh::builder().home(&home).embedded().open().await.unwrap();
    deliver(&bob, &alice, "alice").await;
    bob.mesh.close().await.unwrap();
    let clone = Mesh::builder().home(&copied).embedded().open().await.unwrap();
    warned(&clone, "cloned").await;
    let sent = clone.send("alice", "by the clone").await.unwrap();
    assert_eq!(clone.message_status(sent.id()).await.unwrap().state, api::State::Queued);
    assert!(!clone.whoami().await.unwrap().connected);
    clone.close().await.unwrap();
    // The original is no worse for it.
    bob.mesh = Mesh::builder().home(&home).embedded().open().await.unwrap();
    deliver(&bob, &alice, "alice").await;
    deliver(&alice, &bob, "bob").await;
    assert!(warnings(&bob.mesh).await.is_empty());
    assert_eq!(bodies(&alice.mesh).await.len(), 3);
}

#[tokio::test]
async fn another_broker_at_the_address_is_named_and_told_nothing() {
    let (town, other) = (Town::new().await, Town::new().await);
    let (alice, bob) = town.pair().await;
    alice.mallory.turn_to(&other.broker.url());
    let mark = alice.mallory.mark();
    alice.mallory.cut();
    warned(&alice.mesh, "wrong_broker").await;
    let sent = alice.send("bob", "not for strangers").await;
    let said = alice
        .mallory
        .sees("the stranger's challenge", mark, |way, frame| matches!(frame.body, Body::Challenge(_)).then_some(way));
    said.await;
    assert!(!alice.mallory.saw(mark, |_, body| matches!(body, Body::Hello(_))), "it hears not even a hello");
    alice.mallory.turn_to(&town.broker.url());
    sent.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    deliver(&alice, &bob, "bob").await;
    assert!(warnings(&alice.mesh).await.is_empty());
}

#[tokio::test]
async fn a_link_to_another_broker_is_refused_before_anything_is_said() {
    let (town, other) = (Town::new().await, Town::new().await);
    let alice = town.founder().await;
    let link = alice.link().await;
    let trap = Mallory::before(&other.broker.url(), &other.key).await;
    let secret = link.split_once("/i#").unwrap().1;
    let join = Mesh::builder().in_memory().name("bob").join(format!("http://{}/i#{secret}", trap.address()));
    assert_eq!(join.await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(trap.mark(), 1, "only the challenge was seen");
    let bob = town.joiner("bob", &link, None).await;
    alice.knows("bob").await;
    deliver(&alice, &bob, "bob").await;
}
