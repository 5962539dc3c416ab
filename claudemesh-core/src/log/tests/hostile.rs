//! Brokers and members that lie.

use super::*;
use crate::codec::{HashBytes, encode};
use crate::hash::sha256;
use crate::head::RosterHead;

/// A world with a few words in it, all read.
fn talk() -> World {
    let mut world = World::new(3, HistoryPolicy::All);
    for (seed, words) in [(1, "a"), (2, "b"), (3, "c"), (1, "d")] {
        world.say(seed, words).unwrap();
        world.sync();
    }
    world
}

fn serve_in_order(world: &World, order: &[u64]) -> Result<Vec<LogEvent>, LogError> {
    let mut client = Client::new(2, world.broker.tip.log());
    let mut events = Vec::new();
    for (at, offset) in order.iter().enumerate() {
        let served = world.broker.serve(*offset);
        match client.apply(at as u64 + 1, served, &world.roster) {
            Ok(new) => events.extend(new),
            Err(error) => {
                // A fork ends reading for good, whatever comes next.
                let forked = matches!(error, LogError::Fork(_));
                assert_eq!(client.reader.fork().is_some(), forked);
                if forked {
                    assert_eq!(client.apply(1, world.broker.serve(1), &world.roster), Err(error.clone()));
                    let reader = LogReader::restore(&client.reader.snapshot()).unwrap();
                    assert_eq!(reader.fork(), client.reader.fork());
                }
                return Err(error);
            }
        }
    }
    Ok(events)
}

#[test]
fn withheld_reordered_and_doubled_entries_are_found() {
    let world = talk();
    assert!(serve_in_order(&world, &[1, 2, 3, 4, 5]).is_ok());
    for wrong in [&[1, 3][..], &[1, 2, 4], &[1, 2, 3, 5], &[1, 3, 2]] {
        let Err(LogError::Fork(fork)) = serve_in_order(&world, wrong) else { panic!("{wrong:?} is not noticed") };
        let misplaced = (1..).zip(wrong).find(|(at, offset)| at != *offset).unwrap().0;
        assert_eq!((fork.chain, fork.at), (ForkedChain::Log, misplaced));
        assert_ne!(fork.named, fork.ours);
    }
    assert_eq!(serve_in_order(&world, &[1, 2, 2]), Err(LogError::SeqUsed { last: 2 }));
    assert_eq!(serve_in_order(&world, &[2]), Err(fork_beyond(&world, 2)));
}

/// The fork seen when entry `offset` is served first.
fn fork_beyond(world: &World, offset: usize) -> LogError {
    let entry = &world.broker.entries[offset - 1];
    let ours = Chain::new(world.broker.tip.log()).tail();
    let (author, named) = (Some(entry.body().author), entry.body().seen);
    LogFork { chain: ForkedChain::Log, at: 1, author, named, ours }.into()
}

#[test]
fn two_groups_kept_apart_notice_on_the_first_entry_across() {
    let mut world = talk();
    let mut other = world.broker.clone();
    world.say(1, "to one group").unwrap();
    let words = world.clients.get_mut(&2).unwrap().records(&world.roster, &["to the other"]);
    other.append(&words, &world.roster).unwrap();
    let World { roster, broker, clients } = &mut world;
    clients.get_mut(&1).unwrap().sync(broker, roster).unwrap();
    clients.get_mut(&2).unwrap().sync(&other, roster).unwrap();
    let reply = clients.get_mut(&1).unwrap().records(roster, &["after a"]);
    broker.append(&reply, roster).unwrap();
    let crossed = clients.get_mut(&2).unwrap().apply(7, Served::Entry(reply.bytes()), roster);
    let Err(LogError::Fork(fork)) = crossed else { panic!("not noticed") };
    assert_eq!(
        (fork.named, fork.author),
        (broker.tip.chain().hash_at(6).map(|hash| at(6, hash)).unwrap(), Some(id(1)))
    );
    assert_eq!(fork.ours, other.tip.tail());
    // An honest broker refuses it.
    assert_eq!(other.append(&reply, roster).unwrap_err().code(), "invalid_entry");
}

fn at(offset: u64, hash: [u8; 32]) -> Position {
    Position { offset, hash: HashBytes(hash) }
}

#[test]
fn a_broker_is_held_to_the_positions_it_named() {
    let world = talk();
    let mut client = Client::new(2, world.broker.tip.log());
    let tail = world.broker.tip.tail();
    client.reader.expect(tail, &()).unwrap();
    client.sync(&world.broker, &world.roster).unwrap();
    client.reader.expect(tail, &()).unwrap();
    client.apply(3, world.broker.serve(3), &world.roster).unwrap();

    let other = world.broker.serve(4);
    let Err(LogError::Fork(fork)) = client.apply(3, other, &world.roster) else { panic!("not noticed") };
    assert_eq!((fork.at, fork.author), (3, None));
    assert!(client.reader.expect(tail, &()).is_err());

    let mut client = Client::new(2, world.broker.tip.log());
    client.reader.expect(at(5, [1; 32]), &()).unwrap();
    assert!(client.reader.expect(tail, &()).is_err());
    let mut client = Client::new(2, world.broker.tip.log());
    client.reader.expect(at(5, [1; 32]), &()).unwrap();
    let Err(LogError::Fork(fork)) = client.sync(&world.broker, &world.roster) else { panic!("not noticed") };
    assert_eq!((fork.named, fork.ours), (at(5, [1; 32]), tail));
    assert_eq!(client.reader.tip().tail().offset, 4);
}

#[test]
fn a_hash_in_place_of_an_entry_stays_unexplained() {
    let world = talk();
    let mut client = Client::new(2, world.broker.tip.log());
    client.apply(1, world.broker.serve(1), &world.roster).unwrap();
    let hash = *world.broker.entries[1].hash();
    assert!(matches!(Served::from_wire(&hash), Served::Hash(_)));
    client.apply(2, Served::Hash(hash), &world.roster).unwrap();
    client.sync(&world.broker, &world.roster).unwrap();
    assert_eq!(client.reader.unexplained().collect::<Vec<_>>(), [(2, 2)]);
    // A commit cannot be hidden like that.
    let mut client = Client::new(2, world.broker.tip.log());
    client.apply(1, Served::Hash(*world.broker.entries[0].hash()), &world.roster).unwrap();
    let verdict = client.apply(2, world.broker.serve(2), &world.roster);
    assert_eq!(verdict, Err(LogError::Invalid(Rule::FirstIsCommit)));
}

#[test]
fn an_entry_of_an_old_epoch_is_invalid_for_every_reader() {
    let mut world = talk();
    let roster = world.roster.clone();
    let late = world.client(3).records(&roster, &["under epoch 1"]);
    world.commit(1, &[1, 2, 3]).unwrap();
    world.broker.force(&late);
    let World { broker, clients, .. } = &mut world;
    for client in clients.values_mut() {
        assert_eq!(client.sync(broker, &roster), Err(LogError::StaleEpoch { current: 2 }));
        assert_eq!(client.reader.tip().tail().offset, 6);
    }
}

#[test]
fn a_broker_cannot_help_a_removed_device() {
    let mut world = talk();
    let before = world.roster.clone();
    world.roster.remove(3);
    let roster = world.roster.clone();
    // Someone's words witness the removal; then nothing of the old epoch is taken, of whomever.
    let words = world.client(1).records(&roster, &["stale"]);
    world.broker.force(&words);
    let verdict = world.clients.get_mut(&2).unwrap().sync(&world.broker, &roster);
    assert_eq!(verdict, Err(LogError::StaleEpoch { current: 1 }));

    let mut world = talk();
    world.roster.remove(3);
    world.commit(1, &[1, 2]).unwrap();
    world.sync();
    let gone = world.client(3).commit(&before, &[1, 2, 3], HistoryPolicy::All);
    world.broker.force(&gone.entry);
    let verdict = world.clients.get_mut(&2).unwrap().sync(&world.broker, &roster);
    assert_eq!(verdict, Err(LogError::AuthorNotLive));

    // Nor may a live member commit at a head that the log has left behind.
    let mut world = talk();
    world.roster.remove(3);
    world.commit(1, &[1, 2]).unwrap();
    world.sync();
    let back = world.client(1).commit(&before, &[1, 2, 3], HistoryPolicy::All);
    world.broker.force(&back.entry);
    let verdict = world.clients.get_mut(&2).unwrap().sync(&world.broker, &roster);
    assert_eq!(verdict, Err(LogError::Invalid(Rule::CommitHeadBehind)));
}

#[test]
fn an_author_on_another_roster_ends_reading() {
    let mut world = talk();
    let branch = world.roster.branch();
    world.roster.add(4);
    let words = world.client(1).records(&branch, &["from the other side"]);
    assert_eq!(world.append(&words).unwrap_err().code(), "unknown_head");
    world.broker.force(&words);
    let roster = world.roster.clone();
    let verdict = world.clients.get_mut(&2).unwrap().sync(&world.broker, &roster);
    let Err(LogError::Fork(fork)) = verdict else { panic!("not noticed") };
    assert_eq!((fork.chain, fork.named.offset), (ForkedChain::Roster, branch.head().index));
    assert_eq!(fork.ours.offset, roster.head().index);
}

#[test]
fn records_that_do_not_open_stop_nobody() {
    let mut world = talk();
    let roster = world.roster.clone();
    let mut body = world.client(1).records(&roster, &["x"]).body().clone();
    body.payload = std::vec![7; 300].into();
    let offset = world.append(&LogEntry::sign(&key(1), &body).unwrap()).unwrap().offset;
    assert!(world.sync().values().all(|events| events[..] == [LogEvent::Garbled { offset, author: id(1) }]));
    world.say(2, "on").unwrap();
    assert_eq!(texts(&world.sync()[&1]), [(id(2), "on")]);
}

/// Changes one thing in an otherwise valid records entry of client 1 and signs it again.
fn spoil(world: &mut World, change: impl FnOnce(&mut LogBody)) -> Result<Position, LogError> {
    let roster = world.roster.clone();
    let mut body = world.client(1).records(&roster, &["x"]).body().clone();
    change(&mut body);
    world.append(&LogEntry::sign(&key(1), &body).unwrap())
}

#[test]
fn every_signed_field_is_judged() {
    let mut world = talk();
    let verdict = spoil(&mut world, |body| body.mesh = crate::id::MeshId::from_bytes([0; 32]));
    assert_eq!(verdict, Err(LogError::WrongLog));
    assert_eq!(spoil(&mut world, |body| body.log = LogId::from_bytes([0; 16])), Err(LogError::WrongLog));
    assert_eq!(spoil(&mut world, |body| body.author = id(9)), Err(LogError::UnknownAuthor));
    assert_eq!(spoil(&mut world, |body| body.author = id(2)), Err(LogError::BadSignature));
    assert_eq!(spoil(&mut world, |body| body.epoch = 0), Err(LogError::StaleEpoch { current: 1 }));
    assert_eq!(spoil(&mut world, |body| body.epoch = 2), Err(LogError::Invalid(Rule::EpochOutOfTurn)));
    assert_eq!(spoil(&mut world, |body| body.seq = 0), Err(LogError::SeqUsed { last: 3 }));
    assert_eq!(spoil(&mut world, |body| body.seq = 3), Err(LogError::SeqUsed { last: 3 }));
    assert!(matches!(spoil(&mut world, |body| body.seen.offset += 1), Err(LogError::Fork(_))));
    assert!(matches!(spoil(&mut world, |body| body.seen.hash.0[0] ^= 1), Err(LogError::Fork(_))));
    assert_eq!(spoil(&mut world, |body| body.head.index = 99), Err(LogError::UnknownHead { index: 99 }));
    let verdict = spoil(&mut world, |body| body.head.hash = HashBytes(sha256(b"other")));
    let Err(LogError::Fork(fork)) = verdict else { panic!("not noticed") };
    assert_eq!(fork.chain, ForkedChain::Roster);
    // A head from before the author joined.
    let first = world.roster.at(0).head();
    assert_eq!(spoil(&mut world, |body| body.head = first), Err(LogError::AuthorNotLive));
    // A gap in the seqs is no harm, and neither is an old position.
    assert!(spoil(&mut world, |body| body.seq = 10).is_ok());
    let start = Chain::new(world.broker.tip.log()).tail();
    assert!(
        spoil(&mut world, |body| {
            body.seq = 11;
            body.seen = start;
        })
        .is_ok()
    );
}

/// The same for a commit of epoch 2 by client 1.
fn spoil_commit(world: &mut World, change: impl FnOnce(&mut LogBody, &mut Commit)) -> Result<Position, LogError> {
    let roster = world.roster.clone();
    let mut body = world.client(1).commit(&roster, &[1, 2], HistoryPolicy::All).entry.body().clone();
    let mut commit: Commit = crate::codec::decode(&body.payload).unwrap();
    change(&mut body, &mut commit);
    body.payload = encode(&commit).into();
    world.append(&LogEntry::sign(&key(1), &body).unwrap())
}

#[test]
fn every_field_of_a_commit_is_judged() {
    let mut world = talk();
    let invalid = |rule| Err(LogError::Invalid(rule));
    assert_eq!(spoil_commit(&mut world, |body, _| body.epoch = 1), Err(LogError::EpochTaken { current: 1 }));
    assert_eq!(spoil_commit(&mut world, |body, _| body.epoch = 3), invalid(Rule::EpochOutOfTurn));
    let head = RosterHead { index: 9, hash: HashBytes([0; 32]) };
    assert_eq!(spoil_commit(&mut world, |_, commit| commit.head = head), Err(LogError::UnknownHead { index: 9 }));
    let doubled = spoil_commit(&mut world, |_, commit| {
        let mut wraps = commit.wraps.to_vec();
        wraps.push(wraps[0].clone());
        commit.wraps = crate::codec::List::from_vec(wraps).unwrap();
    });
    assert_eq!(doubled, invalid(Rule::Doubled));
    let linked = spoil_commit(&mut world, |_, commit| commit.history = HistoryPolicy::None);
    assert_eq!(linked, invalid(Rule::History));
    assert!(spoil_commit(&mut world, |_, _| {}).is_ok());

    let roster = world.roster.clone();
    let mut broker = Broker::new(LogId::from_bytes([3; 16]));
    let mut client = Client::new(1, broker.tip.log());
    let commit = client.commit(&roster, &[1], HistoryPolicy::All);
    let mut body = commit.entry.body().clone();
    body.epoch = 0;
    let zero = LogEntry::sign(&key(1), &body).unwrap();
    assert_eq!(broker.append(&zero, &roster), invalid(Rule::FirstIsCommit));
    let report =
        client.write(&roster, |writer, _| build_bad_commit(writer, 1, 1, BadCommitReason::CannotOpen).unwrap());
    assert_eq!(broker.append(&report, &roster), invalid(Rule::FirstIsCommit));
}
