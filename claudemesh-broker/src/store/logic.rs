//! What each operation does, for both stores alike.
//!
//! Operations run one after the other inside one transaction. Each validates first and writes then, so a refusal writes
//! nothing and leaves the others alone; an error of the database ends the whole transaction and every cache with it.
//! Counters, runs and mailbox indexes are kept in memory and written once per transaction.

mod log;
mod mail;
mod notice;
mod num;
mod operations;
mod roster;
mod time;

use std::collections::{HashMap, HashSet};

use claudemesh_core::codec::{self, Bytes};
use claudemesh_core::hash::Hash;
use claudemesh_core::runs::Runs;
use claudemesh_core::{DeviceId, LogId, MeshId, MessageId, Millis};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Folds, Limits, Refusal, StoreError, StoreMeta};
use num::{NumMap, NumSet};

pub(super) use operations::store_operations;

pub(super) type Res<T> = Result<T, StoreError>;

/// When what an operation writes has to be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    /// Before it is answered.
    Now,
    /// With the next that is: if it is lost, the clients make it good by themselves. It may overtake others.
    Later,
}

/// Number of a mesh, device, log or body in the tables.
type Num = i64;

/// Sender, recipient, lane.
type Lane = (Num, Num, u8);

/// Transactions between two looks at the size of a big cache; a small one is looked at every time.
const CACHE_CHECK: u64 = 64;
const SMALL_CACHE: usize = 4096;

/// Places per owner in a packed key.
const SPAN: i64 = 1 << 39;

/// The key of what belongs to `owner` at `position`.
fn key(owner: Num, position: u64) -> Res<i64> {
    let position = i64::try_from(position).ok().filter(|position| *position < SPAN);
    Ok(owner * SPAN + position.ok_or(StoreError::Refused(Refusal::Malformed))?)
}

fn position(key: i64) -> u64 {
    (key % SPAN).unsigned_abs()
}

/// A number from outside as the tables hold it.
fn int(value: u64) -> Res<i64> {
    i64::try_from(value).map_err(|_| StoreError::Refused(Refusal::Malformed))
}

/// Counters of a device.
#[derive(Clone, Debug, Default)]
struct Device {
    last_mail: u64,
    mail_rows: u64,
    last_notice: u64,
    /// No waiting message expires before this. May be too early, never too late.
    min_expires: Option<u64>,
    removed: bool,
}

/// A mailbox row without its bytes.
#[derive(Clone, Copy, Debug)]
struct MailEntry {
    offset: u64,
    sender: Num,
    id: MessageId,
    attempt: u64,
    lane: u8,
    seq: u64,
    body: Option<Num>,
}

/// A lane that waits for a refused message to come again.
#[derive(Clone, Copy, Debug)]
struct Held {
    seq: u64,
    until: Millis,
}

struct Cache<F: Folds> {
    meshes: HashMap<MeshId, (Num, F::Roster)>,
    logs: HashMap<(MeshId, LogId), log::CachedLog<F::Log>>,
    numbers: HashMap<(Num, DeviceId), Num>,
    names: NumMap<Num, (MeshId, DeviceId)>,
    devices: NumMap<Num, Device>,
    runs: NumMap<Lane, Runs>,
    mailboxes: NumMap<Num, HashMap<Hash, MailEntry>>,
    prekeys: NumMap<Num, Vec<(u32, u64)>>,
    /// Per sender the highest message id that may be stored; a higher one is new for sure.
    last_ids: NumMap<Num, MessageId>,
    held: NumMap<Lane, Held>,
    changed: Changed,
}

/// What of the cache the tables do not have yet.
#[derive(Debug, Default)]
struct Changed {
    devices: NumSet<Num>,
    runs: NumSet<Lane>,
    logs: HashSet<(MeshId, LogId)>,
    proofs: NumMap<Num, Bytes>,
}

impl<F: Folds> Default for Cache<F> {
    fn default() -> Self {
        Self {
            meshes: HashMap::new(),
            logs: HashMap::new(),
            numbers: HashMap::new(),
            names: NumMap::default(),
            devices: NumMap::default(),
            runs: NumMap::default(),
            mailboxes: NumMap::default(),
            prekeys: NumMap::default(),
            last_ids: NumMap::default(),
            held: NumMap::default(),
            changed: Changed::default(),
        }
    }
}

impl<F: Folds> Cache<F> {
    /// Roughly how much there is, in mailbox entries.
    fn size(&self) -> usize {
        let mail: usize = self.mailboxes.values().map(HashMap::len).sum();
        mail + self.runs.len() + 2 * self.numbers.len() + 64 * (self.meshes.len() + self.logs.len())
    }
}

/// The database, the rules, and what is known of both.
pub(super) struct Logic<F: Folds> {
    db: Connection,
    folds: F,
    limits: Limits,
    store_id: [u8; 16],
    commit: u64,
    wrote: bool,
    /// Of this transaction.
    sync: Sync,
    /// What the database was told last; `None` when it is to be told again.
    level: Option<Sync>,
    failed: Option<StoreError>,
    cache: Cache<F>,
    sweep: time::Sweep,
}

impl<F: Folds> Logic<F> {
    pub(super) fn new(db: Connection, folds: F, limits: Limits) -> Res<Self> {
        let (store_id, commit) = db.query_row("SELECT store_id, commits FROM store", [], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
        })?;
        Ok(Self {
            db,
            folds,
            limits,
            store_id,
            commit,
            wrote: false,
            sync: Sync::Now,
            level: None,
            failed: None,
            cache: Cache::default(),
            sweep: time::Sweep::default(),
        })
    }

    /// Begins a transaction. When that fails, the operations up to [`Logic::end`] fail with it.
    pub(super) fn begin(&mut self, sync: Sync) {
        let begin = match sync {
            _ if self.level == Some(sync) => "BEGIN IMMEDIATE",
            Sync::Now => "PRAGMA synchronous = FULL; BEGIN IMMEDIATE",
            Sync::Later => "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
        };
        let begun = self.db.execute_batch(begin);
        self.level = begun.is_ok().then_some(sync);
        self.sync = sync;
        self.failed = begun.err().map(StoreError::from);
    }

    /// Runs one operation, unless an earlier one of the transaction broke the database.
    pub(super) fn attempt<T>(&mut self, op: impl FnOnce(&mut Self) -> Res<T>) -> Res<T> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = op(self);
        if let Err(error) = &result
            && !matches!(error, StoreError::Refused(_))
        {
            self.failed = Some(error.clone());
        }
        result
    }

    /// Commits, or undoes everything since [`Logic::begin`]; whether anything was written.
    pub(super) fn end(&mut self) -> Res<bool> {
        let result = match self.failed.take() {
            Some(error) => Err(error),
            None => self.write_down(),
        };
        let wrote = std::mem::take(&mut self.wrote);
        if result.is_err() {
            // Fails when nothing was begun or SQLite has rolled back already: the end is the same.
            let _ = self.db.execute_batch("ROLLBACK");
            self.cache = Cache::default();
        } else if self.cache_is_full() {
            let held = std::mem::take(&mut self.cache.held);
            self.cache = Cache { held, ..Cache::default() };
        }
        result.map(|()| wrote)
    }

    fn cache_is_full(&self) -> bool {
        let limit = self.limits.cached_items;
        (limit < SMALL_CACHE || self.commit.is_multiple_of(CACHE_CHECK)) && self.cache.size() > limit
    }

    fn write_down(&mut self) -> Res<()> {
        if !self.wrote {
            self.db.execute_batch("COMMIT")?;
            return Ok(());
        }
        self.save_changed()?;
        let commit = self.counted();
        if commit != self.commit {
            self.db.prepare_cached("UPDATE store SET commits = ?1")?.execute([commit as i64])?;
        }
        self.db.execute_batch("COMMIT")?;
        self.commit = commit;
        Ok(())
    }

    /// The commit counter as it is after this transaction. What may be lost is not counted: a client that saw a higher
    /// counter takes the broker for rolled back.
    fn counted(&self) -> u64 {
        self.commit + u64::from(self.wrote && self.sync == Sync::Now)
    }

    /// Writes what only the cache knows to the tables.
    fn save_changed(&mut self) -> Res<()> {
        let changed = std::mem::take(&mut self.cache.changed);
        for device in changed.devices {
            let Some(row) = self.cache.devices.get(&device) else { continue };
            self.db
                .prepare_cached(
                    "UPDATE devices SET last_mail = ?2, mail_rows = ?3, last_notice = ?4, removed = ?5, min_expires = ?6
                     WHERE n = ?1",
                )?
                .execute(params![
                    device,
                    row.last_mail as i64,
                    row.mail_rows as i64,
                    row.last_notice as i64,
                    row.removed,
                    row.min_expires.map(|at| at as i64)
                ])?;
        }
        for lane in changed.runs {
            let Some(runs) = self.cache.runs.get(&lane) else { continue };
            self.db
                .prepare_cached(
                    "INSERT INTO runs (sender, recipient, lane, runs) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO UPDATE SET runs = excluded.runs",
                )?
                .execute(params![lane.0, lane.1, lane.2, codec::encode(runs)])?;
        }
        for (device, proof) in changed.proofs {
            self.db
                .prepare_cached(
                    "INSERT INTO proofs (device, proof) VALUES (?1, ?2)
                     ON CONFLICT DO UPDATE SET proof = excluded.proof",
                )?
                .execute(params![device, &proof.0])?;
        }
        changed.logs.into_iter().try_for_each(|log| self.save_log(log))
    }

    /// The number this transaction will have; it will be counted.
    fn next_commit(&mut self) -> u64 {
        self.wrote = true;
        self.counted()
    }

    /// Writes the least there is to write.
    pub(super) fn touch(&mut self) -> Res<()> {
        self.next_commit();
        Ok(())
    }

    pub(super) fn meta(&mut self) -> Res<StoreMeta> {
        let meshes: i64 = self.db.query_row("SELECT COUNT(*) FROM meshes", [], |row| row.get(0))?;
        let commit = self.counted();
        let schema = u32::try_from(super::schema::VERSION).unwrap_or_default();
        Ok(StoreMeta { store_id: self.store_id, commit, schema, meshes: meshes.unsigned_abs() })
    }

    /// The number and roster of a mesh, read from the tables when first asked for.
    fn load_mesh(&mut self, id: &MeshId) -> Res<Option<Num>> {
        if let Some((n, _)) = self.cache.meshes.get(id) {
            return Ok(Some(*n));
        }
        let n: Option<Num> = self
            .db
            .prepare_cached("SELECT n FROM meshes WHERE id = ?1")?
            .query_row([id.as_bytes()], |row| row.get(0))
            .optional()?;
        let Some(n) = n else { return Ok(None) };
        let mut roster = self.folds.roster(id);
        let mut sql = self.db.prepare_cached("SELECT entry FROM roster WHERE key BETWEEN ?1 AND ?2 ORDER BY key")?;
        let mut rows = sql.query(params![n * SPAN, n * SPAN + SPAN - 1])?;
        while let Some(row) = rows.next()? {
            use super::RosterFold;
            let entry: Vec<u8> = row.get(0)?;
            roster.replay(&entry).map_err(|_| StoreError::Corrupt("a stored roster entry is not valid".into()))?;
        }
        drop(rows);
        drop(sql);
        self.cache.meshes.insert(*id, (n, roster));
        Ok(Some(n))
    }

    fn mesh(&mut self, id: &MeshId) -> Res<Num> {
        self.load_mesh(id)?.ok_or(StoreError::Refused(Refusal::UnknownMesh))
    }

    fn roster(&self, id: &MeshId) -> Res<&F::Roster> {
        self.cache.meshes.get(id).map(|(_, roster)| roster).ok_or(StoreError::Refused(Refusal::UnknownMesh))
    }

    fn find_device(&mut self, mesh: Num, id: &DeviceId) -> Res<Option<Num>> {
        if let Some(n) = self.cache.numbers.get(&(mesh, *id)) {
            return Ok(Some(*n));
        }
        let n: Option<Num> = self
            .db
            .prepare_cached("SELECT n FROM devices WHERE mesh = ?1 AND id = ?2")?
            .query_row(params![mesh, id.as_bytes()], |row| row.get(0))
            .optional()?;
        if let Some(n) = n {
            self.cache.numbers.insert((mesh, *id), n);
        }
        Ok(n)
    }

    /// The number of a device, given on first use.
    fn device(&mut self, mesh: Num, id: &DeviceId) -> Res<Num> {
        if let Some(n) = self.find_device(mesh, id)? {
            return Ok(n);
        }
        self.wrote = true;
        self.db
            .prepare_cached("INSERT INTO devices (mesh, id) VALUES (?1, ?2)")?
            .execute(params![mesh, id.as_bytes()])?;
        let n = self.db.last_insert_rowid();
        self.cache.numbers.insert((mesh, *id), n);
        self.cache.devices.insert(n, Device::default());
        Ok(n)
    }

    fn device_name(&mut self, n: Num) -> Res<(MeshId, DeviceId)> {
        if let Some(name) = self.cache.names.get(&n) {
            return Ok(*name);
        }
        let (mesh, device) = self
            .db
            .prepare_cached(
                "SELECT meshes.id, devices.id FROM devices JOIN meshes ON meshes.n = devices.mesh WHERE devices.n = ?1",
            )?
            .query_row([n], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let name = (MeshId::from_bytes(mesh), DeviceId::from_bytes(device));
        self.cache.names.insert(n, name);
        Ok(name)
    }

    /// The counters of a device, to be changed or looked at.
    fn counters(&mut self, n: Num) -> Res<&mut Device> {
        if !self.cache.devices.contains_key(&n) {
            let row = self
                .db
                .prepare_cached(
                    "SELECT last_mail, mail_rows, last_notice, removed, min_expires FROM devices WHERE n = ?1",
                )?
                .query_row([n], |row| {
                    Ok(Device {
                        last_mail: row.get::<_, i64>(0)?.unsigned_abs(),
                        mail_rows: row.get::<_, i64>(1)?.unsigned_abs(),
                        last_notice: row.get::<_, i64>(2)?.unsigned_abs(),
                        removed: row.get(3)?,
                        min_expires: row.get::<_, Option<i64>>(4)?.map(i64::unsigned_abs),
                    })
                })?;
            self.cache.devices.insert(n, row);
        }
        Ok(self.cache.devices.entry(n).or_default())
    }

    fn changed(&mut self, n: Num) -> Res<&mut Device> {
        self.wrote = true;
        self.cache.changed.devices.insert(n);
        self.counters(n)
    }

    fn runs(&mut self, lane: Lane) -> Res<&mut Runs> {
        if !self.cache.runs.contains_key(&lane) {
            let stored: Option<Vec<u8>> = self
                .db
                .prepare_cached("SELECT runs FROM runs WHERE sender = ?1 AND recipient = ?2 AND lane = ?3")?
                .query_row(params![lane.0, lane.1, lane.2], |row| row.get(0))
                .optional()?;
            let runs = match stored {
                Some(bytes) => {
                    codec::decode(&bytes).map_err(|_| StoreError::Corrupt("stored runs do not decode".into()))?
                }
                None => Runs::new(),
            };
            self.cache.runs.insert(lane, runs);
        }
        Ok(self.cache.runs.entry(lane).or_default())
    }
}

/// Fills a page: says when the next item of `size` bytes no longer fits.
struct Fill {
    page: super::Page,
    items: usize,
    bytes: usize,
}

impl Fill {
    const fn new(page: super::Page) -> Self {
        Self { page, items: 0, bytes: 0 }
    }

    fn takes(&mut self, size: usize) -> bool {
        let fits = self.items == 0 || self.bytes.saturating_add(size) <= self.page.bytes;
        self.items += 1;
        self.bytes = self.bytes.saturating_add(size);
        fits && self.items <= self.page.items
    }
}
