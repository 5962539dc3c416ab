//! Messages that wait for a connection while their sender's clock is wrong, or right.

use claudemesh_core::session::{MessageState, Why};

use super::session::{Client, pair, run, say};
use super::world::World;
use crate::config::EngineConfig;

const HOUR: u64 = 3_600_000;
const YEAR: i64 = 365 * 24 * 3_600_000;

/// Alice and Bob have met. Alice is offline again, in a new process that has compared no clocks, and hers is this far
/// ahead; then she writes to Bob. The message may wait for an hour.
fn queued(ahead: i64) -> (World, Client, Client) {
    let mut world = World::with(EngineConfig::default());
    let mut clients = pair(&mut world);
    run(&mut world, &mut clients, 20);
    let [mut alice, bob] = clients;
    alice.restart(&mut world);
    alice.ahead = ahead;
    let member = bob.session.member();
    say(&mut world, &mut alice, member, "hello".into());
    (world, alice, bob)
}

/// Alice comes online, and what she sent is in this state.
fn becomes(world: &mut World, clients: &mut [Client; 2], state: MessageState) {
    run(world, clients, 60);
    let [alice, bob] = clients;
    assert_eq!(alice.states.last(), Some(&state), "{:?}", alice.states);
    assert_eq!(bob.texts, usize::from(state == MessageState::Delivered));
}

fn delivered(mut world: World, alice: Client, bob: Client) {
    becomes(&mut world, &mut [alice, bob], MessageState::Delivered);
}

#[test]
fn a_clock_that_stays_behind_expires_nothing() {
    for restarts in [false, true] {
        let (mut world, mut alice, bob) = queued(-YEAR);
        if restarts {
            alice.restart(&mut world);
        }
        delivered(world, alice, bob);
    }
}

#[test]
fn a_clock_that_stays_ahead_holds_until_it_is_right_and_expires_nothing() {
    for restarts in [false, true] {
        let (mut world, mut alice, bob) = queued(YEAR);
        if restarts {
            alice.restart(&mut world);
        }
        let mut clients = [alice, bob];
        becomes(&mut world, &mut clients, MessageState::Held(Why::NoPrekey));
        clients[0].ahead = 0;
        becomes(&mut world, &mut clients, MessageState::Delivered);
    }
}

#[test]
fn a_clock_set_right_before_the_connection_expires_nothing() {
    for ahead in [-YEAR, YEAR] {
        let (world, mut alice, bob) = queued(ahead);
        alice.ahead = 0;
        delivered(world, alice, bob);
    }
}

#[test]
fn a_clock_set_right_between_two_processes_expires_nothing() {
    for ahead in [-YEAR, YEAR] {
        let (mut world, mut alice, bob) = queued(ahead);
        alice.ahead = 0;
        alice.restart(&mut world);
        delivered(world, alice, bob);
    }
}

#[test]
fn a_clock_that_goes_wrong_before_the_connection_expires_nothing() {
    let (mut world, mut alice, bob) = queued(0);
    alice.ahead = -YEAR;
    alice.restart(&mut world);
    delivered(world, alice, bob);
}

#[test]
fn what_waited_longer_than_it_may_by_a_right_clock_expires() {
    for restarts in [false, true] {
        for (waits, end) in [(HOUR / 2, MessageState::Delivered), (2 * HOUR, MessageState::Expired)] {
            let (mut world, mut alice, bob) = queued(0);
            world.now = world.now.plus(waits);
            if restarts {
                alice.restart(&mut world);
            }
            becomes(&mut world, &mut [alice, bob], end);
        }
    }
}
