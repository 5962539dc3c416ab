//! Clocks that are wrong by a year. That nothing is lost by them, through restarts, cut connections and the clock set right
//! again, is played in the simulation; here is what the user sees.

use claudemesh_client::Receipt;
use claudemesh_core::Millis;
use claudemesh_tests::e2e::{Scene, until};
use claudemesh_tests::hostile::{Mallory, PATIENCE, Town, deliver, settled, warned, warnings};

const YEAR: u64 = 365 * 24 * 3600 * 1000;

/// The clocks of Bob and his broker are apart; he is told so by name, still gets his mail, and is told when it is over.
async fn apart(wrong: impl Fn(Millis) -> Millis + Send + 'static) {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    deliver(&alice, &bob, "bob").await;
    bob.mallory.lie(move |welcome| welcome.now = wrong(welcome.now));
    bob.mallory.cut();
    warned(&bob.mesh, "clock_skew").await;
    let sent = alice.send("bob", "what time is it").await;
    sent.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
    bob.mallory.reform();
    bob.mallory.cut();
    settled("the warning goes", async || warnings(&bob.mesh).await.is_empty().then_some(())).await;
    deliver(&bob, &alice, "alice").await;
    deliver(&alice, &bob, "bob").await;
}

#[tokio::test]
async fn a_clock_behind_the_brokers_by_a_year_is_named_until_it_is_right() {
    apart(|now| Millis(now.0 + YEAR)).await;
}

#[tokio::test]
async fn a_clock_ahead_of_the_brokers_by_a_year_is_named_until_it_is_right() {
    apart(|now| Millis(now.0 - YEAR)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_of_the_command_line_tells_of_a_wrong_clock_while_it_is_wrong() {
    let town = Town::new().await;
    let mallory = Mallory::before(&town.broker.url(), &town.key).await;
    let url = mallory.url().to_owned();
    let verbs = move || {
        let scene = Scene::new();
        let alice = scene.person("alice");
        let tells = |args: &[&str]| alice.run(args).err.contains("warning: this clock and the broker's differ");
        alice.ok(&["up", "--name", "alice", "--broker", &url]);
        assert!(!tells(&["whoami"]), "it is right");
        mallory.lie(|welcome| welcome.now = Millis(welcome.now.0 + YEAR));
        mallory.cut();
        until("a warning", || tells(&["whoami"]).then_some(()));
        for args in [&["peers"][..], &["mesh", "list"], &["inbox"], &["up"], &["send", "nobody", "hi"]] {
            assert!(tells(args), "{args:?}");
        }
        assert_eq!(alice.ok(&["status"])["meshes"][0]["warnings"][0], "clock_skew");
        mallory.reform();
        mallory.cut();
        until("none", || (!tells(&["whoami"])).then_some(()));
    };
    tokio::task::spawn_blocking(verbs).await.unwrap();
}
