use claudemesh_core::key::PrekeySecret;
use claudemesh_core::log::{CommitPlan, HistoryPolicy, Recipient, Record, Writer, build_commit, build_records};
use claudemesh_core::roster::{Kind, NewInvite, create_genesis};
use claudemesh_core::testing::SeededRng;
use claudemesh_core::{Seconds, SigningKey};

use super::*;

const NOW: Millis = Millis(1_000_000);

struct Fixture {
    rng: SeededRng,
    alice: SigningKey,
    invite: SigningKey,
    roster: Roster,
    fold: MeshRoster,
    entries: Vec<Vec<u8>>,
}

impl Fixture {
    fn new() -> Self {
        let mut rng = SeededRng::new(3);
        let [alice, recovery, invite] = std::array::from_fn(|_| SigningKey::generate(&mut rng));
        let (genesis, mesh, _) = create_genesis(&alice, &recovery.public(), Kind::Human, &mut rng).unwrap();
        let roster = Roster::genesis(&genesis).unwrap();
        let fold = CoreFolds.roster(&mesh);
        let mut fixture = Self { rng, alice, invite, roster: roster.clone(), fold, entries: Vec::new() };
        fixture.fold.append(&genesis, NOW).unwrap();
        fixture.entries.push(genesis);
        let invite = NewInvite::to_join(fixture.invite.public(), 2, Seconds(1_001), Vec::new());
        let entry = fixture.roster.create_invite(&fixture.alice, invite).unwrap();
        fixture.take(entry);
        fixture
    }

    fn take(&mut self, entry: Vec<u8>) {
        self.fold.append(&entry, NOW).unwrap();
        self.roster.apply(&entry).unwrap();
        self.entries.push(entry);
    }

    /// A device that joined, and its entry, which is not appended yet.
    fn joiner(&mut self) -> (SigningKey, Vec<u8>) {
        let bob = SigningKey::generate(&mut self.rng);
        let (entry, _) = self.roster.join(&bob, &self.invite, Kind::Agent, &mut self.rng).unwrap();
        (bob, entry)
    }

    /// Appends an entry of alice's as the store would.
    fn append(&self, log: &mut MeshLog, entry: &LogEntry) -> Result<Vec<u64>, Refusal> {
        let context =
            LogContext { roster: &self.fold, author: entry.body().author, offset: log.tip.tail().offset + 1, now: NOW };
        log.append(&context, entry.bytes())
    }

    fn writer(&self, log: &MeshLog) -> Writer<'_> {
        let tip = &log.tip;
        let seq = tip.last_seq(&self.alice.public().device_id()) + 1;
        Writer { key: &self.alice, mesh: tip.mesh(), log: tip.log(), seq, seen: tip.tail(), head: self.roster.head() }
    }

    /// A private log of alice's with two records.
    fn log(&mut self) -> (MeshLog, Vec<LogEntry>) {
        let mut log = CoreFolds.log(&self.roster.mesh(), &LogId::from_bytes([5; 16]));
        let device = self.alice.public().device_id();
        let key = PrekeySecret::generate(&mut self.rng).public();
        let plan = CommitPlan {
            epoch: 1,
            history: HistoryPolicy::All,
            before: None,
            audience: Some(&[device]),
            recipients: &[Recipient { device, prekey: 1, key }],
        };
        let mut rng = self.rng.clone();
        let new = build_commit(&self.writer(&log), &plan, &mut rng).unwrap();
        self.append(&mut log, &new.entry).unwrap();
        let mut entries = vec![new.entry];
        for _ in 0..2 {
            let record = Record { kind: 1, data: vec![1].into() };
            let entry = build_records(&self.writer(&log), 1, &new.secret, &[record], &mut rng).unwrap();
            self.append(&mut log, &entry).unwrap();
            entries.push(entry);
        }
        self.rng = rng;
        (log, entries)
    }
}

#[test]
fn a_mesh_begins_with_its_own_genesis() {
    let fixture = Fixture::new();
    let mut other = CoreFolds.roster(&MeshId::from_bytes([9; 32]));
    assert_eq!(other.append(&fixture.entries[0], NOW), Err(Refusal::InvalidEntry));
    assert_eq!(other.append(&fixture.entries[1], NOW), Err(Refusal::UnknownMesh));
    assert_eq!(other.append(&[1], NOW), Err(Refusal::Malformed));
    assert_eq!((other.head(), other.hash_at(0), other.is_closed()), (None, None, false));
}

#[test]
fn entries_are_refused_by_what_is_wrong() {
    let mut fixture = Fixture::new();
    let (_, stale) = fixture.joiner();
    let (bob, entry) = fixture.joiner();
    let genesis = fixture.entries[0].clone();
    assert_eq!(fixture.fold.append(&genesis, NOW), Err(Refusal::MeshExists));
    assert_eq!(fixture.fold.append(&entry, Millis(1_001_000)), Err(Refusal::InviteExpired));
    assert_eq!(fixture.fold.author_member(&entry), None);
    fixture.take(entry.clone());
    assert_eq!(fixture.fold.append(&stale, NOW), Err(Refusal::HeadMoved));
    let device = bob.public().device_id();
    assert!(fixture.fold.is_live(&device));
    let member = fixture.roster.device(&device).unwrap().member;
    let remove = fixture.roster.remove_member(&bob, &member).unwrap();
    assert_eq!(fixture.fold.author_member(&remove), Some(member));
    let effect = fixture.fold.append(&remove, NOW).unwrap();
    assert_eq!(effect.removed, [device]);
    fixture.roster.apply(&remove).unwrap();
    let close = fixture.roster.close_mesh(&fixture.alice).unwrap();
    fixture.take(close);
    assert!(fixture.fold.is_closed() && !fixture.fold.is_live(&device));
}

#[test]
fn a_replayed_roster_is_the_same() {
    let mut fixture = Fixture::new();
    let (_, entry) = fixture.joiner();
    fixture.take(entry);
    let mut again = CoreFolds.roster(&fixture.roster.mesh());
    for entry in &fixture.entries {
        again.replay(entry).unwrap();
    }
    assert_eq!(again.roster, fixture.fold.roster);
    assert!(again.replay(&fixture.entries[1]).is_err());
}

#[test]
fn a_log_comes_back_from_its_saved_state_and_from_its_entries() {
    let mut fixture = Fixture::new();
    let (log, entries) = fixture.log();
    let mut restored = CoreFolds.log(&fixture.roster.mesh(), &log.tip.log());
    assert!(restored.restore(&log.save()));
    assert_eq!(restored.save(), log.save());
    let mut replayed = CoreFolds.log(&fixture.roster.mesh(), &log.tip.log());
    for (offset, entry) in (1..).zip(&entries) {
        replayed.replay(offset, entry.hash(), Some(entry.bytes())).unwrap();
    }
    assert_eq!(replayed.save(), log.save());
    assert_eq!(replayed.epoch(), 1);
    // Both go on.
    let next = build_records(
        &fixture.writer(&log),
        1,
        &claudemesh_core::key::Secret32::new([0; 32]),
        &[Record { kind: 1, data: vec![2].into() }],
        &mut fixture.rng.clone(),
    )
    .unwrap();
    assert_eq!(fixture.append(&mut restored, &next), Ok(Vec::new()));
    assert_eq!(fixture.append(&mut replayed, &next), Ok(Vec::new()));
    assert!(replayed.replay(9, next.hash(), None).is_err());
}

#[test]
fn readers_are_told_from_the_saved_state() {
    let mut fixture = Fixture::new();
    let (log, _) = fixture.log();
    let alice = fixture.alice.public().device_id();
    let state = log.save();
    assert_eq!(Readers::of(&state), Readers::Only(vec![alice]));
    assert!(Readers::of(&state).admit(&alice) && !Readers::of(&state).admit(&DeviceId::from_bytes([0; 32])));
    let empty = CoreFolds.log(&fixture.roster.mesh(), &LogId::of_mesh(&fixture.roster.mesh()));
    assert_eq!(Readers::of(&empty.save()), Readers::Mesh);
    // What cannot be read is for nobody.
    for damaged in [&[][..], &[0x82, 9, 0xf6], &state[..3]] {
        assert_eq!(Readers::of(damaged), Readers::Only(Vec::new()));
    }
}

#[test]
fn a_state_of_another_version_or_log_is_not_taken() {
    let mut fixture = Fixture::new();
    let (log, _) = fixture.log();
    let mut other = CoreFolds.log(&fixture.roster.mesh(), &LogId::from_bytes([6; 16]));
    assert!(!other.restore(&log.save()));
    let mut same = CoreFolds.log(&fixture.roster.mesh(), &log.tip.log());
    assert!(!same.restore(&[]));
    let mut newer = log.save();
    newer.0[1] = 2;
    assert!(!same.restore(&newer));
}

#[test]
fn nobody_stays_a_reader_because_others_were_shut_out_before() {
    let mut fixture = Fixture::new();
    let (bob, entry) = fixture.joiner();
    fixture.take(entry);
    let (alice, bob) = (fixture.alice.public().device_id(), bob.public().device_id());
    let mut log = CoreFolds.log(&fixture.roster.mesh(), &LogId::from_bytes([5; 16]));
    let key = PrekeySecret::generate(&mut fixture.rng).public();
    let mut rng = fixture.rng.clone();
    let mut commit = |fixture: &Fixture, log: &mut MeshLog, audience: &[DeviceId]| {
        let plan = CommitPlan {
            epoch: log.epoch() + 1,
            history: HistoryPolicy::All,
            before: None,
            audience: Some(audience),
            recipients: &[Recipient { device: alice, prekey: 1, key }],
        };
        let entry = build_commit(&fixture.writer(log), &plan, &mut rng).unwrap().entry;
        fixture.append(log, &entry)
    };
    // The first commit is called for; those that let bob in again are not, and after six of them there is no other.
    for _ in 0..7 {
        assert_eq!(commit(&fixture, &mut log, &[alice, bob]), Ok(Vec::new()));
        assert_eq!(commit(&fixture, &mut log, &[alice]), Ok(Vec::new()));
    }
    assert_eq!(commit(&fixture, &mut log, &[alice, bob]), Err(Refusal::RateLimited));
    assert_eq!(commit(&fixture, &mut log, &[alice]), Err(Refusal::RateLimited), "nobody goes out by it");
}

#[test]
fn commits_that_nothing_calls_for_are_few_an_hour() {
    let mut fixture = Fixture::new();
    let (mut log, _) = fixture.log();
    let device = fixture.alice.public().device_id();
    let key = PrekeySecret::generate(&mut fixture.rng).public();
    let mut rng = fixture.rng.clone();
    let mut commit = |fixture: &Fixture, log: &mut MeshLog, now| {
        let plan = CommitPlan {
            epoch: log.epoch() + 1,
            history: HistoryPolicy::All,
            before: None,
            audience: Some(&[device]),
            recipients: &[Recipient { device, prekey: 1, key }],
        };
        let entry = build_commit(&fixture.writer(log), &plan, &mut rng).unwrap().entry;
        let offset = log.tip.tail().offset + 1;
        let context = LogContext { roster: &fixture.fold, author: device, offset, now };
        log.append(&context, entry.bytes())
    };
    for _ in 0..6 {
        assert_eq!(commit(&fixture, &mut log, NOW), Ok(Vec::new()));
    }
    assert_eq!(commit(&fixture, &mut log, NOW.plus(HOUR - 1)), Err(Refusal::RateLimited));
    assert_eq!(commit(&fixture, &mut log, NOW.plus(HOUR)), Ok(Vec::new()));
}
