//! Logs as the client's own state machine keeps them: who may read a private one, and what a lying broker comes to.

use std::collections::BTreeSet;

use claudemesh_core::LogId;
use claudemesh_core::codec::{Bytes, HashBytes};
use claudemesh_core::log::{BadCommitReason, HistoryPolicy, LogReader, Position, build_bad_commit};
use claudemesh_core::session::{Command, Fault, Input, LogPolicy, Session};
use claudemesh_core::wire::{self, Frame};

use super::session::{Client, pair, run};
use super::world::World;
use crate::config::EngineConfig;

const ROOM: LogId = LogId::from_bytes([7; 16]);

fn met() -> (World, [Client; 2]) {
    let mut world = World::with(EngineConfig::default());
    let mut clients = pair(&mut world);
    run(&mut world, &mut clients, 20);
    (world, clients)
}

/// A client opens the room to these clients.
fn open(world: &mut World, clients: &mut [Client; 2], at: usize, to: &[usize]) {
    let audience = to.iter().map(|at| clients[*at].session.member()).collect();
    let policy = LogPolicy { history: HistoryPolicy::All, audience: Some(audience) };
    clients[at].handle(world, Input::Command(Command::OpenLog { log: ROOM, policy }));
}

fn audience(client: &Client) -> usize {
    client.session.log_audience(&ROOM).map_or(0, |members: BTreeSet<_>| members.len())
}

#[test]
fn an_audience_changed_while_a_commit_is_under_way_is_changed() {
    let (mut world, mut clients) = met();
    open(&mut world, &mut clients, 0, &[0]);
    open(&mut world, &mut clients, 0, &[0, 1]);
    run(&mut world, &mut clients, 20);
    assert_eq!(audience(&clients[0]), 2);
}

#[test]
fn a_wish_that_is_fulfilled_is_not_kept_to_be_fulfilled_again() {
    let (mut world, mut clients) = met();
    for _ in 0..2 {
        open(&mut world, &mut clients, 0, &[0, 1]);
        run(&mut world, &mut clients, 20);
        assert_eq!(clients[0].stored().logs[&ROOM].policy.audience, None);
    }
}

#[test]
fn who_is_shut_out_asks_now_and_then_and_drops_what_it_wanted_changed() {
    let (mut world, mut clients) = met();
    open(&mut world, &mut clients, 0, &[0, 1]);
    run(&mut world, &mut clients, 20);
    clients[1].handle(&mut world, Input::Command(Command::OpenLog { log: ROOM, policy: LogPolicy::OPEN }));
    run(&mut world, &mut clients, 20);
    open(&mut world, &mut clients, 0, &[0]);
    run(&mut world, &mut clients, 20);
    open(&mut world, &mut clients, 1, &[1]);
    run(&mut world, &mut clients, 20);
    assert_eq!(clients[1].stored().logs[&ROOM].policy.audience, None);
    assert_eq!(audience(&clients[0]), 1);
    // Let in again, it reads on.
    open(&mut world, &mut clients, 0, &[0, 1]);
    run(&mut world, &mut clients, 40);
    assert_eq!(clients[0].session.log_size(&ROOM), clients[1].session.log_size(&ROOM));
}

/// An entry of the other client in the mesh's log, of another chain.
fn crossing(world: &World, client: &Client) -> Frame {
    let log = LogId::of_mesh(&world.mesh);
    let reader = LogReader::restore(client.stored().logs[&log].reader.as_ref().unwrap()).unwrap();
    let tip = reader.tip();
    let mut writer = tip.writer(&world.peers[1].key, client.session.roster().head());
    writer.seen = Position { offset: tip.tail().offset, hash: HashBytes([9; 32]) };
    let entry = build_bad_commit(&writer, tip.epoch(), tip.epoch(), BadCommitReason::CannotOpen).unwrap();
    Frame::push(wire::LogPush { log, offset: tip.tail().offset + 1, entry: entry.into_bytes().into() })
}

fn blames(session: &Session, fault: Fault) -> bool {
    session.faults().any(|there| there == fault)
}

#[test]
fn a_fork_is_remembered_by_the_next_process() {
    let (mut world, [mut alice, _]) = met();
    let frame = crossing(&world, &alice);
    alice.handle(&mut world, Input::Frame(&frame.encode()));
    assert!(blames(&alice.session, Fault::LogFork));
    alice.restart(&mut world);
    assert!(blames(&alice.session, Fault::LogFork));
}

#[test]
fn entries_kept_back_without_a_compaction_are_noticed() {
    let (mut world, mut clients) = met();
    let log = LogId::of_mesh(&world.mesh);
    let offset = clients[0].session.log_size(&log).unwrap().0 + 1;
    let frame = Frame::push(wire::LogPush { log, offset, entry: Bytes(vec![5; 32]) });
    clients[0].handle(&mut world, Input::Frame(&frame.encode()));
    assert!(!blames(&clients[0].session, Fault::LogWithheld), "the compaction may still come");
    run(&mut world, &mut clients, 20);
    assert!(blames(&clients[0].session, Fault::LogWithheld));
}
