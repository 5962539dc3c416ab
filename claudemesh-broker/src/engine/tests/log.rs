use claudemesh_core::codec::{Bytes, HashBytes};
use claudemesh_core::key::Secret32;
use claudemesh_core::log::{
    CommitPlan, HistoryPolicy, LogEntry, LogReader, Position, Recipient, Record, Served, Writer, build_commit,
    build_compaction, build_records, build_rewrap,
};
use claudemesh_core::wire::{self, Body, ErrorCode};
use claudemesh_core::{DeviceId, LogId};

use super::world::World;

/// A log as its writer sees it.
struct Written {
    log: LogId,
    seen: Position,
    secret: Secret32,
    epoch: u64,
    seqs: std::collections::BTreeMap<usize, u64>,
    entries: Vec<Bytes>,
}

impl Written {
    /// Commits epoch 1; private with an audience.
    fn begin(world: &mut World, at: usize, log: LogId, audience: Option<&[usize]>) -> Self {
        let seen = LogReader::new(world.mesh, log, world.peers[at].id()).tip().tail();
        let mut written =
            Self { log, seen, secret: Secret32::new([0; 32]), epoch: 0, seqs: Default::default(), entries: Vec::new() };
        let entry = written.commit(world, at, audience);
        written.append(world, at, entry);
        written
    }

    fn writer<'a>(&mut self, world: &'a World, at: usize) -> Writer<'a> {
        let seq = self.seqs.entry(at).or_insert(0);
        *seq += 1;
        let (mesh, head) = (world.mesh, world.roster.head());
        Writer { key: &world.peers[at].key, mesh, log: self.log, seq: *seq, seen: self.seen, head }
    }

    fn commit(&mut self, world: &mut World, at: usize, audience: Option<&[usize]>) -> LogEntry {
        let members: Vec<usize> = match audience {
            Some(audience) => audience.to_vec(),
            None => (0..world.peers.len()).filter(|at| world.roster.is_live_device(&world.peers[*at].id())).collect(),
        };
        let recipients: Vec<_> = members.iter().map(|at| recipient(world, *at)).collect();
        let devices: Vec<DeviceId> = members.iter().map(|at| world.peers[*at].id()).collect();
        let plan = CommitPlan {
            epoch: self.epoch + 1,
            history: HistoryPolicy::All,
            before: None,
            audience: audience.map(|_| &devices[..]),
            recipients: &recipients,
        };
        let mut rng = world.rng.clone();
        let new = build_commit(&self.writer(world, at), &plan, &mut rng).unwrap();
        world.rng = rng;
        self.epoch += 1;
        self.secret = new.secret;
        new.entry
    }

    fn records(&mut self, world: &mut World, at: usize) -> LogEntry {
        let mut rng = world.rng.clone();
        let record = Record { kind: 9, data: vec![1].into() };
        let (epoch, secret) = (self.epoch, self.secret.clone());
        let entry = build_records(&self.writer(world, at), epoch, &secret, &[record], &mut rng).unwrap();
        world.rng = rng;
        entry
    }

    fn append(&mut self, world: &mut World, at: usize, entry: LogEntry) {
        let bytes: Bytes = entry.into_bytes().into();
        let reply = world.ask(at, wire::LogAppend { entry: bytes.clone(), expected: None });
        let Body::LogAppended(appended) = reply else { panic!("{reply:?}") };
        self.entries.push(bytes);
        assert_eq!(appended.offset, self.entries.len() as u64);
        self.seen = Position { offset: appended.offset, hash: appended.chain };
    }

    fn write(&mut self, world: &mut World, at: usize) {
        let entry = self.records(world, at);
        self.append(world, at, entry);
    }
}

fn recipient(world: &World, at: usize) -> Recipient {
    let prekey = *world.peers[at].prekeys.public().last().unwrap();
    Recipient { device: world.peers[at].id(), prekey: prekey.id.0, key: prekey.public }
}

fn start(world: &World, log: LogId) -> HashBytes {
    LogReader::new(world.mesh, log, world.peers[0].id()).tip().tail().hash
}

fn pushed(world: &mut World, at: usize) -> Vec<(u64, Bytes)> {
    let pushed = world.peers[at].take().into_iter();
    pushed
        .filter_map(|body| match body {
            Body::LogPush(push) => Some((push.offset, push.entry)),
            _ => None,
        })
        .collect()
}

fn log(n: u8) -> LogId {
    LogId::from_bytes([n; 16])
}

#[test]
fn entries_are_numbered_chained_and_read_back() {
    let mut world = World::of(2);
    let mut written = Written::begin(&mut world, 0, log(1), None);
    for _ in 0..5 {
        written.write(&mut world, 1);
    }
    let hash = start(&world, log(1));
    let Body::LogEntries(read) = world.ask(1, wire::LogRange { log: log(1), from: 1, limit: 3, hash }) else {
        panic!()
    };
    assert_eq!((read.from, read.tail), (1, 6));
    assert_eq!(read.entries.to_vec(), written.entries[..3]);
    let mut reader = LogReader::new(world.mesh, log(1), world.peers[1].id());
    for (offset, entry) in (1..).zip(&written.entries) {
        let prekeys = &world.peers[1].prekeys;
        let secret = |id| prekeys.secret(claudemesh_core::device::PrekeyId(id));
        reader.apply(offset, Served::from_wire(entry), &world.roster, secret, &()).unwrap();
    }
    assert_eq!(reader.tip().tail(), written.seen);
    let Body::Logs(logs) = world.ask(1, wire::LogList {}) else { panic!() };
    assert_eq!(logs.logs.to_vec(), [wire::LogTail { log: log(1), tail: 6, epoch: 1 }]);
}

#[test]
fn a_retry_gets_the_same_answer_and_is_pushed_once() {
    let mut world = World::of(2);
    let mut written = Written::begin(&mut world, 0, log(1), None);
    let hash = start(&world, log(1));
    world.done(1, wire::LogFollow { log: log(1), from: 1, hash });
    let entry: Bytes = written.records(&mut world, 0).into_bytes().into();
    let first = world.ask(0, wire::LogAppend { entry: entry.clone(), expected: Some(1) });
    let again = world.ask(0, wire::LogAppend { entry, expected: Some(1) });
    let (Body::LogAppended(first), Body::LogAppended(again)) = (first, again) else { panic!() };
    assert_eq!((first.offset, first.chain), (again.offset, again.chain));
    assert_eq!(pushed(&mut world, 1).len(), 2);
}

#[test]
fn followers_get_what_is_there_and_what_comes() {
    let mut world = World::of(3);
    let own = LogId::of_mesh(&world.mesh);
    let hash = start(&world, own);
    // A log can be followed before anybody wrote.
    world.done(2, wire::LogFollow { log: own, from: 1, hash });
    let mut written = Written::begin(&mut world, 0, own, None);
    written.write(&mut world, 0);
    world.done(
        1,
        wire::LogFollow {
            log: own,
            from: 2,
            hash: {
                let entry = LogEntry::parse(written.entries[0].clone()).unwrap();
                let mut chain = claudemesh_core::log::Chain::new(own);
                chain.extend(entry.hash()).hash
            },
        },
    );
    for _ in 0..100 {
        written.write(&mut world, 1);
    }
    let all: Vec<(u64, Bytes)> = (1..).zip(written.entries.clone()).collect();
    assert_eq!(pushed(&mut world, 2), all);
    assert_eq!(pushed(&mut world, 1), all[1..]);
    world.disconnect(2);
    written.write(&mut world, 0);
    world.connect(2);
    assert!(pushed(&mut world, 2).is_empty(), "following ends with the connection");
}

#[test]
fn an_expected_tail_is_compared() {
    let mut world = World::of(1);
    let mut written = Written::begin(&mut world, 0, log(1), None);
    let entry: Bytes = written.records(&mut world, 0).into_bytes().into();
    let append = |expected| wire::LogAppend { entry: entry.clone(), expected };
    assert_eq!(world.refusal(0, append(Some(0))), ErrorCode::OffsetMoved);
    assert_eq!(world.refusal(0, append(Some(2))), ErrorCode::OffsetMoved);
    assert!(matches!(world.ask(0, append(Some(1))), Body::LogAppended(_)));
}

#[test]
fn of_two_commits_one_wins() {
    let mut world = World::of(2);
    let mut written = Written::begin(&mut world, 0, log(1), None);
    let mut other =
        Written { seqs: Default::default(), entries: Vec::new(), secret: written.secret.clone(), ..written };
    let mine = written.commit(&mut world, 0, None);
    let theirs = other.commit(&mut world, 1, None);
    written.append(&mut world, 0, mine);
    let entry = theirs.into_bytes().into();
    assert_eq!(world.refusal(1, wire::LogAppend { entry, expected: None }), ErrorCode::EpochTaken);
}

#[test]
fn after_a_removal_only_a_commit_follows() {
    let mut world = World::of(3);
    let mut written = Written::begin(&mut world, 0, log(1), None);
    let gone = world.peers[2].id();
    let entry = world.roster.remove_device(&world.peers[0].key, &gone).unwrap();
    world.append(0, entry);
    let stale = written.records(&mut world, 0).into_bytes().into();
    assert_eq!(world.refusal(0, wire::LogAppend { entry: stale, expected: None }), ErrorCode::StaleEpoch);
    let commit = written.commit(&mut world, 1, None);
    written.append(&mut world, 1, commit);
    written.write(&mut world, 0);
}

#[test]
fn a_private_log_is_there_for_those_it_is_wrapped_to() {
    let mut world = World::of(3);
    let mut written = Written::begin(&mut world, 0, log(2), Some(&[0, 1]));
    written.write(&mut world, 1);
    let hash = start(&world, log(2));
    let range = wire::LogRange { log: log(2), from: 1, limit: 9, hash };
    let follow = wire::LogFollow { log: log(2), from: 1, hash };
    assert!(matches!(world.ask(1, range.clone()), Body::LogEntries(read) if read.entries.len() == 2));
    assert_eq!(world.refusal(2, range.clone()), ErrorCode::Forbidden);
    assert_eq!(world.refusal(2, follow.clone()), ErrorCode::Forbidden);
    let Body::Logs(logs) = world.ask(2, wire::LogList {}) else { panic!() };
    assert!(logs.logs.is_empty());
    let intruder = written.records(&mut world, 2).into_bytes().into();
    assert_eq!(world.refusal(2, wire::LogAppend { entry: intruder, expected: None }), ErrorCode::Forbidden);

    // A re-wrap lets a device of the audience in; a commit without it shuts it out, even while it follows.
    let commit = written.commit(&mut world, 0, Some(&[0, 1, 2]));
    written.append(&mut world, 0, commit);
    world.done(2, follow);
    assert_eq!(pushed(&mut world, 2).len(), 3);
    let commit = written.commit(&mut world, 0, Some(&[0, 1]));
    written.append(&mut world, 0, commit);
    written.write(&mut world, 0);
    assert!(pushed(&mut world, 2).is_empty());
    assert_eq!(world.refusal(2, range), ErrorCode::Forbidden);

    // Let in again, it goes on where it was.
    let commit = written.commit(&mut world, 0, Some(&[0, 2]));
    written.append(&mut world, 0, commit);
    assert_eq!(pushed(&mut world, 2).len(), 3);
}

#[test]
fn a_re_wrap_lets_a_device_of_the_audience_in() {
    let mut world = World::of(3);
    let mut written = Written::begin(&mut world, 0, log(2), Some(&[0, 1]));
    let devices = [0, 1, 2].map(|at| world.peers[at].id());
    let recipients = [recipient(&world, 0)];
    let plan = CommitPlan {
        epoch: 2,
        history: HistoryPolicy::All,
        before: None,
        audience: Some(&devices),
        recipients: &recipients,
    };
    let mut rng = world.rng.clone();
    let new = build_commit(&written.writer(&world, 0), &plan, &mut rng).unwrap();
    written.append(&mut world, 0, new.entry);
    let hash = start(&world, log(2));
    let range = wire::LogRange { log: log(2), from: 1, limit: 9, hash };
    assert_eq!(world.refusal(2, range.clone()), ErrorCode::Forbidden);
    let wraps = [recipient(&world, 2)];
    let entry = build_rewrap(&written.writer(&world, 0), 2, 2, &new.secret, &wraps, &mut rng).unwrap();
    written.append(&mut world, 0, entry);
    assert!(matches!(world.ask(2, range), Body::LogEntries(read) if read.entries.len() == 3));
}

#[test]
fn another_history_is_named_as_such() {
    let mut world = World::of(1);
    Written::begin(&mut world, 0, log(1), None);
    let wrong = HashBytes([4; 32]);
    let range = |from, hash| wire::LogRange { log: log(1), from, limit: 1, hash };
    assert_eq!(world.refusal(0, range(2, wrong)), ErrorCode::BrokerRolledBack);
    assert_eq!(world.refusal(0, range(9, wrong)), ErrorCode::BrokerRolledBack);
    assert_eq!(world.refusal(0, range(0, wrong)), ErrorCode::Malformed);
    let follow = wire::LogFollow { log: log(1), from: 9, hash: wrong };
    assert_eq!(world.refusal(0, follow), ErrorCode::BrokerRolledBack);
    let unknown = wire::LogRange { log: log(8), from: 1, limit: 1, hash: start(&world, log(8)) };
    assert_eq!(world.refusal(0, unknown), ErrorCode::UnknownLog);
    let follow = wire::LogFollow { log: log(8), from: 1, hash: start(&world, log(9)) };
    assert_eq!(world.refusal(0, follow), ErrorCode::UnknownLog);
}

#[test]
fn entries_of_others_and_nonsense_are_refused() {
    let mut world = World::of(2);
    let mut written = Written::begin(&mut world, 0, log(1), None);
    let others = written.records(&mut world, 0).into_bytes();
    let append = |entry: Vec<u8>| wire::LogAppend { entry: entry.into(), expected: None };
    assert_eq!(world.refusal(1, append(others.clone())), ErrorCode::Forbidden);
    let mut forged = others;
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(world.refusal(0, append(forged)), ErrorCode::InvalidEntry);
    assert_eq!(world.refusal(0, append(vec![7])), ErrorCode::Malformed);
    assert_eq!(world.refusal(0, append(vec![0; 129 * 1024])), ErrorCode::TooLarge);
}

#[test]
fn of_what_was_compacted_the_hash_is_served() {
    let mut world = World::of(2);
    let mut written = Written::begin(&mut world, 0, log(1), None);
    for _ in 0..3 {
        written.write(&mut world, 0);
    }
    let hash = *LogEntry::parse(written.entries[2].clone()).unwrap().hash();
    let epoch = written.epoch;
    let entry = build_compaction(&written.writer(&world, 0), epoch, &[3]).unwrap();
    written.append(&mut world, 0, entry);
    let first = start(&world, log(1));
    world.done(1, wire::LogFollow { log: log(1), from: 1, hash: first });
    let read = pushed(&mut world, 1);
    assert_eq!(read.len(), 5);
    assert_eq!(read[2], (3, hash[..].into()));
    let again = build_compaction(&written.writer(&world, 0), epoch, &[3]).unwrap().into_bytes().into();
    assert_eq!(world.refusal(0, wire::LogAppend { entry: again, expected: None }), ErrorCode::InvalidEntry);
}
