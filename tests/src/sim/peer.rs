//! A device: the client's session over a store that keeps what was committed and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use claudemesh_client::testing::{Depth, Held};
use claudemesh_core::presence::BootId;
use claudemesh_core::session::{Change, Identity, InboxRow, LoadError, LogRecords, MessageState, Session, Snapshot};
use claudemesh_core::testing::SeededRng;
use claudemesh_core::wire::Frame;
use claudemesh_core::{DeviceId, LogId, MessageId, Millis, PublicKey, SigningKey};

use super::dice::Dice;
use super::join::{Joiner, Link};
use super::known::Known;
use super::watch::Watch;

/// What a device has on disk.
#[derive(Clone, Debug, Default)]
pub struct Store {
    /// What the session starts from.
    pub snapshot: Snapshot,
    /// Received messages; the position of a row is its index and never changes.
    pub inbox: Vec<InboxRow>,
    /// States of sent messages, for the user.
    pub states: BTreeMap<(MessageId, DeviceId), MessageState>,
    /// Messages marked as read here.
    pub read: BTreeSet<(DeviceId, MessageId)>,
    /// How far the consumer of events has committed.
    pub consumed: usize,
    /// Records of logs, by log and offset.
    pub opened: BTreeMap<(LogId, u64), Arc<LogRecords>>,
}

impl Store {
    /// Applies one change of a transaction.
    pub fn apply(&mut self, change: &Change) {
        self.snapshot.apply(change);
        match change {
            Change::Inbox(row) => self.inbox.push(row.clone()),
            Change::LogRecords(opened) => {
                self.opened.insert((opened.log, opened.offset), Arc::new(opened.clone()));
            }
            Change::Read { device, id, .. } => {
                self.read.insert((*device, *id));
            }
            Change::State { id, device, state, .. } => {
                let known = self.states.entry((*id, *device)).or_insert(*state);
                if known.may_become(*state) {
                    *known = *state;
                }
            }
            Change::Outbox(row) => {
                for recipient in &row.recipients {
                    self.states.entry((row.id, recipient.device)).or_insert(recipient.state);
                }
            }
            _ => {}
        }
    }
}

/// What was committed and not synced.
#[derive(Debug)]
struct Unsynced {
    /// What a power failure leaves.
    disk: Store,
    /// The commits it takes back, or the last ones of them; the oldest first.
    commits: Vec<Vec<Change>>,
    /// How many of them the sync under way covers.
    covered: usize,
}

impl Unsynced {
    /// The oldest commits reach the disk.
    fn sink(&mut self, commits: usize) {
        for change in self.commits.drain(..commits).flatten() {
            self.disk.apply(&change);
        }
    }
}

/// Where a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// At once, between two batches.
    Now,
    /// Before the next batch is committed.
    BeforeCommit,
    /// After the next batch is committed, before it sends anything.
    AfterCommit,
    /// After the next batch has sent so many frames.
    AfterSends(u64),
    /// So long after the next commit that a power failure takes back.
    AfterUnsynced(u64),
}

/// What runs.
#[derive(Debug)]
pub enum Process {
    /// Nothing.
    Down,
    /// Still joining.
    Joining(Box<Joiner>),
    /// Removed before it knew that it had joined.
    ShutOut,
    /// A member.
    Member(Box<Session>),
}

/// A device.
#[derive(Debug)]
pub struct Peer {
    /// For people.
    pub name: &'static str,
    /// Seed of the device key.
    pub key: [u8; 32],
    /// How far its clock is off, milliseconds.
    pub skew: i64,
    /// What is on its disk.
    pub store: Store,
    /// The link it is to join by, until it has.
    pub link: Option<Link>,
    /// What runs.
    pub process: Process,
    /// Randomness of the process.
    pub rng: SeededRng,
    /// Where it dies next, and whether the power fails there.
    pub crash: Option<(CrashPoint, bool)>,
    unsynced: Option<Unsynced>,
    /// Frames that wait for a sync.
    pub held: Held<Frame>,
    /// When the sync under way is done.
    pub sync_at: Option<u64>,
    /// When it starts again.
    pub start_at: Option<u64>,
    /// When a joiner calls again.
    pub call_at: Option<u64>,
    /// The connection it uses.
    pub connection: Option<u64>,
    /// What the consumer has seen since it started.
    pub seen: usize,
    /// What the consumer saw at each position, ever.
    pub shown: Vec<(DeviceId, MessageId)>,
    /// The end of each message that its sender was ever told.
    pub told: BTreeMap<(MessageId, DeviceId), MessageState>,
    /// The secrets it ever held, when somebody asks for them.
    pub known: Option<Known>,
    /// Whoever looks at what it takes from logs.
    pub watch: Option<Watch>,
    boots: u64,
    device: DeviceId,
}

impl Peer {
    /// A device that is down.
    #[must_use]
    pub fn new(name: &'static str, key: [u8; 32], store: Store) -> Self {
        Self {
            name,
            key,
            skew: 0,
            store,
            link: None,
            process: Process::Down,
            rng: SeededRng::new(0),
            crash: None,
            unsynced: None,
            held: Held::default(),
            sync_at: None,
            start_at: None,
            call_at: None,
            connection: None,
            seen: 0,
            shown: Vec::new(),
            told: BTreeMap::new(),
            known: None,
            watch: None,
            boots: 0,
            device: SigningKey::from_seed(&key).public().device_id(),
        }
    }

    /// Its key.
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_seed(&self.key)
    }

    /// Its device id.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Its session, while it runs.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        match &self.process {
            Process::Member(session) => Some(session),
            _ => None,
        }
    }

    /// Starts the process from what is on disk.
    ///
    /// # Errors
    /// [`LoadError`] when what was committed cannot be loaded.
    pub fn start(&mut self, broker: PublicKey, seed: u64, now: u64) -> Result<(), LoadError> {
        self.boots += 1;
        self.rng = SeededRng::new(seed ^ (self.boots << 48) ^ u64::from(self.key[0]) << 40);
        self.seen = self.store.consumed;
        self.start_at = None;
        // Opening the store syncs it.
        self.wrote();
        if let Some(watch) = &mut self.watch {
            watch.begin(&self.store.snapshot);
        }
        if let Some(link) = self.link {
            self.call_at = Some(now);
            self.process = Process::Joining(Box::new(Joiner::new(link, self.signing_key())));
            return Ok(());
        }
        let boot = BootId::generate(&mut self.rng);
        let identity = Identity { key: self.signing_key(), boot, pinned: vec![broker] };
        self.process = Process::Member(Box::new(Session::load(identity, self.store.snapshot.clone())?));
        Ok(())
    }

    /// Commits the changes of a batch.
    pub fn commit(&mut self, changes: Vec<Change>, depth: Depth) {
        if depth == Depth::Durable {
            self.wrote();
        } else {
            let disk = &self.store;
            let begin = || Unsynced { disk: disk.clone(), commits: Vec::new(), covered: 0 };
            self.unsynced.get_or_insert_with(begin).commits.push(changes.clone());
        }
        for change in &changes {
            self.store.apply(change);
        }
    }

    /// Something was written and synced, and with it everything before.
    pub fn wrote(&mut self) {
        self.unsynced = None;
    }

    /// A sync begins.
    pub fn begin_sync(&mut self, until: u64) {
        self.sync_at = Some(until);
        if let Some(unsynced) = &mut self.unsynced {
            unsynced.covered = unsynced.commits.len();
        }
    }

    /// The sync is done; the frames that may leave now.
    pub fn end_sync(&mut self) -> Vec<Frame> {
        self.sync_at = None;
        if let Some(unsynced) = &mut self.unsynced {
            let covered = std::mem::take(&mut unsynced.covered);
            unsynced.sink(covered);
            if unsynced.commits.is_empty() {
                self.unsynced = None;
            }
        }
        self.held.synced()
    }

    /// The power has failed: what was not synced is gone, except perhaps for the oldest of it. How many commits are gone.
    pub fn fail_power(&mut self, dice: &mut Dice) -> usize {
        let Some(mut unsynced) = self.unsynced.take() else { return 0 };
        unsynced.sink(dice.lucky(unsynced.commits.len()));
        self.store = unsynced.disk;
        unsynced.commits.len()
    }

    /// The process is gone, with all it had not committed.
    pub fn die(&mut self) {
        self.held = Held::default();
        self.sync_at = None;
        self.process = Process::Down;
        self.crash = None;
        self.connection = None;
        self.call_at = None;
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self, now: Millis) -> Millis {
        Millis(now.0.saturating_add_signed(self.skew))
    }
}
