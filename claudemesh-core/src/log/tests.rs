//! Stories of whole logs: several devices, one broker, honest or not.

mod decoders;
mod fixture;
mod hostile;

use alloc::vec::Vec;

use fixture::*;

use super::*;
use crate::id::LogId;
use crate::key::Secret32;

#[test]
fn two_writers_read_each_other_in_one_order() {
    let mut world = World::new(2, HistoryPolicy::All);
    world.say(1, "one").unwrap();
    world.say(2, "two").unwrap();
    let roster = world.roster.clone();
    let entry = world.client(1).records(&roster, &["three", "four"]);
    // Client 1 has not read its own first entry back yet, so its seq must be raised by hand.
    assert_eq!(world.append(&entry), Err(LogError::SeqUsed { last: 2 }));
    let events = world.sync();
    let expected = [(id(1), "one"), (id(2), "two")];
    assert_eq!(texts(&events[&1]), expected);
    assert_eq!(texts(&events[&2]), expected);
    assert_eq!(world.clients[&1].reader.tip(), world.clients[&2].reader.tip());
    assert_eq!(world.client(1).reader.tip().tail(), world.broker.tip.tail());
}

#[test]
fn a_late_joiner_reads_everything_through_history_links() {
    let mut world = World::new(2, HistoryPolicy::All);
    world.say(1, "first epoch").unwrap();
    world.sync();
    world.commit(2, &[1, 2]).unwrap();
    world.sync();
    world.say(2, "second epoch").unwrap();
    world.roster.add(3);
    world.sync();

    // The joiner commits at once; it holds no earlier secret, so its commit carries no link.
    let mut joiner = Client::new(3, world.broker.tip.log());
    let roster = world.roster.clone();
    let events = joiner.sync(&world.broker, &roster).unwrap();
    assert!(texts(&events).is_empty());
    assert!(events.contains(&LogEvent::EpochUnreadable { epoch: 1, reason: None }));
    assert_eq!(joiner.reader.keys().missing().collect::<Vec<_>>(), [1, 2]);
    let commit = joiner.commit(&roster, &[1, 2, 3], HistoryPolicy::All);
    world.append(&commit.entry).unwrap();
    let events = joiner.sync(&world.broker, &roster).unwrap();
    assert!(events.contains(&LogEvent::EpochLearned { epoch: 3 }));
    world.sync();

    // The next member that holds both secrets appends the link, and all the past opens.
    let client = world.clients.get_mut(&1).unwrap();
    let secret = |epoch| Secret32::new(**client.reader.keys().secret(epoch).unwrap());
    let (second, third) = (secret(2), secret(3));
    let link = client.write(&roster, |writer, rng| build_history_link(writer, 3, 3, &third, &second, rng).unwrap());
    world.append(&link).unwrap();
    let events = joiner.sync(&world.broker, &roster).unwrap();
    assert_eq!(events, [LogEvent::EpochLearned { epoch: 1 }, LogEvent::EpochLearned { epoch: 2 }]);
    assert_eq!(joiner.reader.keys().missing().count(), 0);
    assert_eq!(joiner.reader.open(&world.broker.entries[1]).unwrap(), [text("first epoch")]);
    assert_eq!(joiner.reader.open(&world.broker.entries[3]).unwrap(), [text("second epoch")]);
}

#[test]
fn a_link_read_before_its_secret_opens_later() {
    let mut world = World::new(3, HistoryPolicy::All);
    world.say(1, "past").unwrap();
    world.sync();
    // Client 3 is left out of epochs 2 and 3, and gets the last secret by a re-wrap.
    for _ in 0..2 {
        world.commit(1, &[1, 2]).unwrap();
        world.sync();
    }
    assert_eq!(world.clients[&2].reader.tip().unwrapped(&world.roster), [id(3)]);
    let roster = world.roster.clone();
    let client = world.client(2);
    let secret = Secret32::new(**client.reader.keys().secret(3).unwrap());
    let rewrap = client.write(&roster, |writer, rng| build_rewrap(writer, 3, 3, &secret, &[to(3)], rng).unwrap());
    world.append(&rewrap).unwrap();
    let events = world.sync();
    assert_eq!(events[&3], [LogEvent::EpochLearned { epoch: 2 }, LogEvent::EpochLearned { epoch: 3 }]);
    assert!(events[&1].is_empty());
    assert!(world.client(1).reader.tip().unwrapped(&roster).is_empty());
}

#[test]
fn without_history_a_commit_carries_no_link_and_old_secrets_are_erased() {
    let mut world = World::new(2, HistoryPolicy::None);
    world.say(1, "gone").unwrap();
    world.sync();
    world.commit(1, &[1, 2]).unwrap();
    world.sync();
    let Payload::Commit(commit) = world.broker.entries[2].payload() else { panic!("a commit") };
    assert_eq!(commit.link, None);
    let roster = world.roster.clone();
    let entry = world.broker.entries[1].clone();
    let client = world.client(2);
    assert_eq!(client.reader.open(&entry).unwrap(), [text("gone")]);
    let first = Secret32::new(**client.reader.keys().secret(1).unwrap());
    client.reader.keys_mut().erase_below(2);
    assert_eq!(client.reader.open(&entry), Err(OpenError::MissingEpoch { epoch: 1 }));
    assert!(client.reader.keys_mut().insert(1, &first).unwrap().is_empty());
    assert_eq!(client.reader.keys().missing().count(), 0);
    // Nor may anybody else link the epochs.
    let second = Secret32::new(**client.reader.keys().secret(2).unwrap());
    let link = client.write(&roster, |writer, rng| build_history_link(writer, 2, 2, &second, &first, rng).unwrap());
    assert_eq!(world.append(&link), Err(LogError::Invalid(Rule::History)));
}

#[test]
fn removal_makes_the_epoch_stale_until_a_commit() {
    let mut world = World::new(3, HistoryPolicy::All);
    world.roster.remove(3);
    assert!(world.broker.tip.needs_commit(&world.roster));
    assert_eq!(world.say(1, "late"), Err(LogError::StaleEpoch { current: 1 }));
    assert_eq!(world.say(3, "gone"), Err(LogError::AuthorNotLive));
    // Not even with the removed device among the recipients.
    assert_eq!(world.commit(1, &[1, 2, 3]), Err(LogError::Invalid(Rule::WrapRecipient(id(3)))));
    world.commit(2, &[1, 2]).unwrap();
    assert!(!world.broker.tip.needs_commit(&world.roster));
    let events = world.sync();
    assert!(events[&3].contains(&LogEvent::EpochUnreadable { epoch: 2, reason: None }));
    world.say(1, "without 3").unwrap();
    let events = world.sync();
    assert_eq!(texts(&events[&2]), [(id(1), "without 3")]);
    assert!(matches!(events[&3][..], [LogEvent::Sealed { epoch: 2, .. }]));
    world.broker.tip.forget_removed(&world.roster);
    assert_eq!(world.broker.tip.last_seq(&id(3)), 0);
}

#[test]
fn removal_of_a_device_that_was_re_wrapped_makes_the_epoch_stale_too() {
    let mut world = World::new(2, HistoryPolicy::All);
    world.roster.add(3);
    let roster = world.roster.clone();
    let client = world.client(1);
    let secret = Secret32::new(**client.reader.keys().secret(1).unwrap());
    let rewrap = client.write(&roster, |writer, rng| build_rewrap(writer, 1, 1, &secret, &[to(3)], rng).unwrap());
    world.append(&rewrap).unwrap();
    world.sync();
    world.say(2, "fresh").unwrap();
    world.sync();
    world.roster.remove(3);
    assert_eq!(world.say(2, "stale"), Err(LogError::StaleEpoch { current: 1 }));
}

#[test]
fn a_commit_must_be_made_at_the_current_head_and_wins_alone() {
    let mut world = World::new(3, HistoryPolicy::All);
    let old = world.roster.clone();
    world.roster.add(4);
    let stale = world.client(1).commit(&old, &[1, 2, 3], HistoryPolicy::All);
    let head = world.roster.head().index;
    assert_eq!(world.append(&stale.entry), Err(LogError::HeadMoved { index: head }));
    let roster = world.roster.clone();
    let first = world.client(1).commit(&roster, &[1, 2, 3, 4], HistoryPolicy::All);
    let second = world.client(2).commit(&roster, &[1, 2, 3, 4], HistoryPolicy::All);
    let late = world.client(3).records(&roster, &["under epoch 1"]);
    world.append(&first.entry).unwrap();
    assert_eq!(world.append(&second.entry), Err(LogError::EpochTaken { current: 2 }));
    assert_eq!(world.append(&late), Err(LogError::StaleEpoch { current: 2 }));
    assert_eq!(late.body().epoch, 1);
    // The loser's secret is dropped when the winner's commit arrives.
    world.client(2).reader.keys_mut().insert(2, &second.secret).unwrap();
    world.sync();
    assert_eq!(world.client(2).reader.keys().secret(2), Some(&first.secret));
}

#[test]
fn the_secret_of_an_own_commit_is_kept_until_the_log_shows_which_one_it_took() {
    let mut world = World::new(2, HistoryPolicy::All);
    let roster = world.roster.clone();
    let taken = world.client(1).commit(&roster, &[2], HistoryPolicy::All);
    let again = world.client(1).commit(&roster, &[2], HistoryPolicy::All);
    for secret in [&taken.secret, &again.secret] {
        assert!(world.client(1).reader.keys_mut().insert(2, secret).unwrap().is_empty());
    }
    // Nothing is wrapped to client 1, as if its prekey was erased since.
    world.append(&taken.entry).unwrap();
    let snapshot = world.client(1).reader.snapshot();
    world.client(1).reader = LogReader::restore(&snapshot).unwrap();
    world.sync();
    assert_eq!(world.client(1).reader.keys().secret(2), Some(&taken.secret));
}

#[test]
fn a_garbage_commit_is_reported_and_the_next_one_heals() {
    let mut world = World::new(3, HistoryPolicy::All);
    world.say(1, "past").unwrap();
    world.sync();
    let roster = world.roster.clone();
    // Client 1 wraps to a prekey that is not client 2's, and commits to another secret than it wraps to client 3.
    let client = world.clients.get_mut(&1).unwrap();
    let wrong = Recipient { key: prekey(9).public(), ..to(2) };
    let before = Secret32::new(**client.reader.keys().secret(1).unwrap());
    let plan = CommitPlan {
        epoch: 2,
        history: HistoryPolicy::All,
        before: Some(&before),
        audience: None,
        recipients: &[to(1), wrong, to(3)],
    };
    let entry = client.write(&roster, |writer, rng| {
        let mut body = build_commit(writer, &plan, rng).unwrap().entry.body().clone();
        let mut commit: Commit = crate::codec::decode(&body.payload).unwrap();
        commit.commitment.0[0] ^= 1;
        body.payload = crate::codec::encode(&commit).into();
        LogEntry::sign(writer.key, &body).unwrap()
    });
    world.append(&entry).unwrap();
    let events = world.sync();
    let reason = |reason| LogEvent::EpochUnreadable { epoch: 2, reason: Some(reason) };
    assert!(events[&2].contains(&reason(BadCommitReason::CannotOpen)));
    assert!(events[&3].contains(&reason(BadCommitReason::Commitment)));

    let report = world
        .client(2)
        .write(&roster, |writer, _| build_bad_commit(writer, 2, 2, BadCommitReason::CannotOpen).unwrap());
    let offset = world.append(&report).unwrap().offset;
    let reported = LogEvent::BadCommitReported { offset, author: id(2), epoch: 2, reason: BadCommitReason::CannotOpen };
    assert!(world.sync().values().all(|events| events[..] == [reported.clone()]));
    world.commit(2, &[1, 2, 3]).unwrap();
    world.sync();
    world.say(3, "healed").unwrap();
    assert_eq!(texts(&world.sync()[&1]), [(id(3), "healed")]);

    // Epoch 2 is lost to all. A device that lacks epoch 1 gets it by a re-wrap of that old epoch.
    world.roster.add(4);
    let roster = world.roster.clone();
    world.clients.insert(4, Client::new(4, world.broker.tip.log()));
    world.sync();
    world.commit(3, &[1, 2, 3, 4]).unwrap();
    world.sync();
    assert_eq!(world.client(4).reader.keys().missing().collect::<Vec<_>>(), [1, 2]);
    let rewrap =
        world.client(3).write(&roster, |writer, rng| build_rewrap(writer, 4, 1, &before, &[to(4)], rng).unwrap());
    world.append(&rewrap).unwrap();
    assert_eq!(world.sync()[&4], [LogEvent::EpochLearned { epoch: 1 }]);
}

#[test]
fn a_commit_report_needs_a_wrap_and_an_epoch() {
    let mut world = World::new(2, HistoryPolicy::All);
    world.roster.add(3);
    world.clients.insert(3, Client::new(3, world.broker.tip.log()));
    world.sync();
    let roster = world.roster.clone();
    for (seed, bad, rule) in [(3, 1, Rule::NoWrapToReport), (2, 2, Rule::NoSuchEpoch), (2, 0, Rule::NoSuchEpoch)] {
        let report = world
            .client(seed)
            .write(&roster, |writer, _| build_bad_commit(writer, 1, bad, BadCommitReason::CannotOpen).unwrap());
        assert_eq!(world.append(&report), Err(LogError::Invalid(rule)));
    }
}

#[test]
fn a_private_log_admits_only_the_wrapped() {
    let log = LogId::from_bytes([0x9a; 16]);
    let roster = Roster::new(4);
    let mut broker = Broker::new(log);
    let (mut ann, mut bob, mut eve) = (Client::new(1, log), Client::new(2, log), Client::new(4, log));
    let audience = [id(1), id(2), id(3)];
    let wide = ann.commit_for(&roster, &[1, 2, 4], HistoryPolicy::Joining, Some(&audience));
    assert_eq!(broker.append(&wide.entry, &roster), Err(LogError::Invalid(Rule::WrapRecipient(id(4)))));
    let without = ann.commit_for(&roster, &[2], HistoryPolicy::Joining, Some(&[id(2)]));
    assert_eq!(broker.append(&without.entry, &roster), Err(LogError::Invalid(Rule::Audience)));
    let commit = ann.commit_for(&roster, &[1, 2], HistoryPolicy::Joining, Some(&audience));
    broker.append(&commit.entry, &roster).unwrap();
    for client in [&mut ann, &mut bob, &mut eve] {
        client.sync(&broker, &roster).unwrap();
    }

    assert_eq!(broker.tip.audience().unwrap().count(), 3);
    assert!(broker.tip.grants(&id(2)) && !broker.tip.grants(&id(3)) && !broker.tip.grants(&id(4)));
    // An outsider can neither seize the log nor be let in by a re-wrap; the log never opens to the whole mesh.
    let seized = eve.commit_for(&roster, &[4], HistoryPolicy::Joining, Some(&[id(4)]));
    assert_eq!(broker.append(&seized.entry, &roster), Err(LogError::Forbidden));
    let opened = bob.commit(&roster, &[1, 2, 4], HistoryPolicy::Joining);
    assert_eq!(broker.append(&opened.entry, &roster), Err(LogError::Invalid(Rule::Audience)));
    let secret = Secret32::new(**bob.reader.keys().secret(1).unwrap());
    for (seed, verdict) in [(4, Err(LogError::Invalid(Rule::WrapRecipient(id(4))))), (3, Ok(()))] {
        let rewrap = bob.write(&roster, |writer, rng| build_rewrap(writer, 1, 1, &secret, &[to(seed)], rng).unwrap());
        assert_eq!(broker.append(&rewrap, &roster).map(drop), verdict);
    }
    assert!(broker.tip.grants(&id(3)));

    // The removal of someone outside the audience leaves the epoch as it is.
    let mut roster = roster;
    roster.remove(4);
    assert!(!broker.tip.needs_commit(&roster));
    roster.remove(3);
    assert!(broker.tip.needs_commit(&roster));
}

#[test]
fn the_meshs_own_log_is_open_to_all_of_the_mesh_with_all_history() {
    let log = LogId::of_mesh(&MESH);
    let roster = Roster::new(2);
    let mut broker = Broker::new(log);
    let mut client = Client::new(1, log);
    let private = client.commit_for(&roster, &[1], HistoryPolicy::All, Some(&[id(1)]));
    assert_eq!(broker.append(&private.entry, &roster), Err(LogError::Invalid(Rule::Audience)));
    let brief = client.commit(&roster, &[1, 2], HistoryPolicy::Joining);
    assert_eq!(broker.append(&brief.entry, &roster), Err(LogError::Invalid(Rule::History)));
    let commit = client.commit(&roster, &[1, 2], HistoryPolicy::All);
    broker.append(&commit.entry, &roster).unwrap();
}

#[test]
fn compaction_keeps_the_chain_verifying() {
    let mut world = World::new(2, HistoryPolicy::All);
    for words in ["a", "b", "c"] {
        world.say(2, words).unwrap();
        world.sync();
    }
    let roster = world.roster.clone();
    let compact = |world: &mut World, seed, offsets: &[u64]| {
        let entry = world.client(seed).write(&roster, |writer, _| build_compaction(writer, 1, offsets).unwrap());
        world.append(&entry).map(drop)
    };
    assert_eq!(compact(&mut world, 2, &[2, 3]), Err(LogError::Forbidden));
    for wrong in [&[0, 2][..], &[1, 2], &[2, 5], &[9]] {
        assert_eq!(compact(&mut world, 1, wrong), Err(LogError::Invalid(Rule::Compaction)), "{wrong:?}");
    }
    assert_eq!(compact(&mut world, 1, &[3, 2]), Ok(()));
    let events = world.sync();
    assert_eq!(events[&2], [LogEvent::Compacted { offset: 5, offsets: Vec::from([2, 3]) }]);
    world.say(1, "d").unwrap();
    world.sync();

    let mut late = Client::new(2, world.broker.tip.log());
    for offset in 1..=4 {
        late.apply(offset, world.broker.serve(offset), &world.roster).unwrap();
    }
    assert_eq!(late.reader.unexplained().collect::<Vec<_>>(), [(2, 3)]);
    let events = late.sync(&world.broker, &world.roster).unwrap();
    assert_eq!(texts(&events), [(id(1), "d")]);
    assert_eq!(late.reader.unexplained().count(), 0);
    assert_eq!(late.reader.tip().tail(), world.broker.tip.tail());
}

#[test]
fn readers_reach_the_brokers_verdict_when_the_roster_has_moved_on() {
    let mut world = World::new(4, HistoryPolicy::All);
    world.say(3, "while live").unwrap();
    world.sync();
    world.roster.remove(3);
    world.commit(2, &[1, 2, 4]).unwrap();
    world.sync();
    world.say(2, "after").unwrap();
    world.roster.remove(2);
    world.roster.remove(4);
    // Long after: authors are gone, epochs are stale, and all of it was valid when it was written.
    let mut late = Client::new(1, world.broker.tip.log());
    let events = late.sync(&world.broker, &world.roster).unwrap();
    assert_eq!(texts(&events), [(id(3), "while live"), (id(2), "after")]);
    assert!(late.reader.tip().needs_commit(&world.roster));
}

#[test]
fn a_reader_whose_roster_lags_asks_for_it_and_goes_on() {
    let mut world = World::new(2, HistoryPolicy::All);
    let old = world.roster.clone();
    world.roster.add(3);
    let log = world.broker.tip.log();
    let mut joiner = Client::new(3, log);
    joiner.sync(&world.broker, &world.roster).unwrap();
    let commit = joiner.commit(&world.roster, &[1, 2, 3], HistoryPolicy::All);
    world.append(&commit.entry).unwrap();
    let head = world.roster.head().index;
    let (broker, client) = (&world.broker, world.clients.get_mut(&1).unwrap());
    assert_eq!(client.sync(broker, &old), Err(LogError::UnknownHead { index: head }));
    assert!(client.sync(broker, &world.roster).is_ok());
}

#[test]
fn snapshots_restore_reader_and_tip() {
    let mut world = World::new(2, HistoryPolicy::All);
    world.say(1, "kept").unwrap();
    world.sync();
    world.commit(1, &[2, 1]).unwrap();
    world.sync();
    let reader = &world.clients[&2].reader;
    let mut restored = LogReader::restore(&reader.snapshot()).unwrap();
    assert_eq!(restored.tip().epoch(), 2);
    assert_eq!(restored.tip().snapshot(), reader.tip().snapshot());
    assert_eq!(restored.keys().snapshot(), reader.keys().snapshot());
    assert_eq!(restored.open(&world.broker.entries[1]).unwrap(), [text("kept")]);
    assert_eq!(LogTip::restore(&world.broker.tip.snapshot()).unwrap().snapshot(), world.broker.tip.snapshot());
    assert!(LogReader::restore(&reader.snapshot()[1..]).is_err());
    // Positions before the snapshot are the store's to know.
    let entry = world.clients.get_mut(&1).unwrap().records(&world.roster, &["late"]);
    let mut body = entry.body().clone();
    body.seen = Position { offset: 2, hash: crate::codec::HashBytes(world.broker.hash_at(2).unwrap()) };
    let entry = LogEntry::sign(&key(1), &body).unwrap();
    world.append(&entry).unwrap();
    let none = |_| None::<crate::key::PrekeySecret>;
    let served = world.broker.serve(4);
    let verdict = restored.apply(4, served, &world.roster, none, &());
    assert_eq!(verdict, Err(LogError::UnknownPosition { offset: 2 }));
    assert_eq!(restored.apply(4, served, &world.roster, none, &world.broker).unwrap().len(), 1);
}

#[test]
fn a_commit_to_500_devices_stays_under_64_kib() {
    let roster = Roster::new(1);
    let mut client = Client::new(1, LogId::of_mesh(&MESH));
    let recipients: Vec<Recipient> = (0..500u32)
        .map(|n| {
            let device = crate::id::DeviceId::from_bytes(crate::hash::sha256(&n.to_be_bytes()));
            Recipient { device, prekey: u32::MAX - n, key: prekey(n as u8).public() }
        })
        .collect();
    let before = Secret32::new([7; 32]);
    let plan = CommitPlan {
        epoch: u64::MAX,
        history: HistoryPolicy::All,
        before: Some(&before),
        audience: None,
        recipients: &recipients,
    };
    let commit = client.write(&roster, |writer, rng| build_commit(writer, &plan, rng).unwrap());
    assert!(commit.entry.bytes().len() <= 64 * 1024, "{}", commit.entry.bytes().len());
}

#[test]
fn builders_refuse_what_no_reader_takes() {
    let roster = Roster::new(1);
    let mut client = Client::new(1, LogId::from_bytes([1; 16]));
    let secret = Secret32::new([1; 32]);
    client.write(&roster, |writer, rng| {
        let records = |count| std::vec![text("x"); count];
        assert_eq!(build_records(writer, 1, &secret, &[], rng), Err(BuildError::Empty));
        assert_eq!(build_records(writer, 1, &secret, &records(65), rng), Err(BuildError::TooMany));
        assert!(build_records(writer, 1, &secret, &records(64), rng).is_ok());
        let big = Record { kind: 1, data: std::vec![0; MAX_ENTRY_BYTES].into() };
        assert_eq!(build_records(writer, 1, &secret, &[big], rng), Err(BuildError::TooLarge));
        assert_eq!(build_rewrap(writer, 1, 1, &secret, &[], rng), Err(BuildError::Empty));
        let many = std::vec![to(1); MAX_WRAPS + 1];
        assert_eq!(build_rewrap(writer, 1, 1, &secret, &many, rng), Err(BuildError::TooMany));
        assert_eq!(build_history_link(writer, 1, 1, &secret, &secret, rng), Err(BuildError::NoSuchEpoch));
        assert_eq!(build_compaction(writer, 1, &[]), Err(BuildError::Empty));
        // A recipient that publishes a useless prekey is left out; it cannot keep others from committing.
        let weak = Recipient { key: crate::key::PrekeyPublic::from_bytes([0; 32]), ..to(2) };
        let plan = CommitPlan {
            epoch: 1,
            history: HistoryPolicy::All,
            before: None,
            audience: None,
            recipients: &[to(1), weak],
        };
        assert_eq!(build_commit(writer, &plan, rng).unwrap().omitted, [id(2)]);
    });
}
