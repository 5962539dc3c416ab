//! How many messages a second the broker's store takes in and lets go, without sockets, signatures or clients.
//!
//! ```sh
//! cargo run --release -p claudemesh-broker --example store_bench -- [SECONDS]
//! ```
//!
//! Eight callers each enqueue 32 envelopes of 256 bytes and acknowledge them, over and over; every call is answered after
//! its fsync. Ends with an error below [`GATE`].

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use claudemesh_broker::store::{
    Enqueue, Folds, Limits, LogContext, LogFold, Outcome, Receipt, ReceiptItem, Recipient, RecordPut, Refusal,
    RosterEffect, RosterFold, SqliteStore, Store, StoreError,
};
use claudemesh_core::codec::{Bytes, HashBytes};
use claudemesh_core::hash::{Hash, sha256};
use claudemesh_core::{DeviceId, LogId, MemberId, MeshId, MessageId, Millis, RosterHead};
use rand_core::UnwrapErr;

/// Messages a second that the store has to sustain.
pub const GATE: f64 = 100_000.0;

const CALLERS: u8 = 8;
const BATCH: u64 = 32;
const ENVELOPE: usize = 256;
const RECORD: usize = 136;
const NOW: Millis = Millis(1_700_000_000_000);
const MESH: MeshId = MeshId::from_bytes([1; 32]);
const GENESIS: Hash = [2; 32];

/// Rules that admit everybody: the store is measured, not the rosters.
struct Open;
struct OpenRoster(bool);
struct OpenLog;

impl Folds for Open {
    type Roster = OpenRoster;
    type Log = OpenLog;

    fn roster(&self, _: &MeshId) -> OpenRoster {
        OpenRoster(false)
    }

    fn log(&self, _: &MeshId, _: &LogId) -> OpenLog {
        OpenLog
    }
}

impl OpenRoster {
    const HEAD: RosterHead = RosterHead { index: 0, hash: HashBytes(GENESIS) };
}

impl RosterFold for OpenRoster {
    fn author_member(&self, _: &[u8]) -> Option<MemberId> {
        None
    }

    fn append(&mut self, _: &[u8], _: Millis) -> Result<RosterEffect, Refusal> {
        self.0 = true;
        Ok(RosterEffect { head: Self::HEAD, removed: Vec::new() })
    }

    fn replay(&mut self, _: &[u8]) -> Result<(), Refusal> {
        self.0 = true;
        Ok(())
    }

    fn head(&self) -> Option<RosterHead> {
        self.0.then_some(Self::HEAD)
    }

    fn hash_at(&self, index: u64) -> Option<Hash> {
        (index == 0).then_some(GENESIS)
    }

    fn is_live(&self, _: &DeviceId) -> bool {
        true
    }

    fn is_closed(&self) -> bool {
        false
    }
}

impl LogFold<OpenRoster> for OpenLog {
    fn append(&mut self, _: &LogContext<'_, OpenRoster>, _: &[u8]) -> Result<Vec<u64>, Refusal> {
        Err(Refusal::Forbidden)
    }

    fn replay(&mut self, _: u64, _: &Hash, _: Option<&[u8]>) -> Result<(), Refusal> {
        Ok(())
    }

    fn epoch(&self) -> u64 {
        0
    }

    fn save(&self) -> Bytes {
        Bytes::default()
    }

    fn restore(&mut self, _: &[u8]) -> bool {
        true
    }
}

/// Messages that went in and out again, per second.
///
/// # Errors
/// What the store fails with.
pub async fn measure(folder: &Path, time: Duration) -> Result<f64, StoreError> {
    let path = folder.join("store-bench.db");
    let store = SqliteStore::open(&path, Open, Limits::default(), &mut UnwrapErr(getrandom::SysRng))?;
    let store: Arc<dyn Store> = Arc::new(store);
    store.roster_append_if_head(MESH, Bytes(vec![0; 64]), NOW).await?;
    let started = Instant::now();
    let callers: Vec<_> = (0..CALLERS).map(|n| tokio::spawn(caller(store.clone(), n, started + time))).collect();
    let mut messages = 0;
    for caller in callers {
        messages += caller.await.map_err(|error| StoreError::Io(error.to_string()))??;
    }
    let rate = messages as f64 / started.elapsed().as_secs_f64();
    store.close().await?;
    Ok(rate)
}

async fn caller(store: Arc<dyn Store>, n: u8, end: Instant) -> Result<u64, StoreError> {
    let (sender, recipient) = (DeviceId::from_bytes([n + 1; 32]), DeviceId::from_bytes([n + 101; 32]));
    let record =
        RecordPut { mesh: MESH, device: recipient, counter: 1, record: Bytes(vec![0; 200]), prekeys: vec![(1, NOW.0)] };
    store.record_put(record, NOW).await?;
    let mut seq = 0;
    while Instant::now() < end {
        let batch: Vec<Enqueue> = (0..BATCH).map(|at| envelope(sender, recipient, seq + at + 1)).collect();
        let item = |one: &Enqueue| ReceiptItem { sender, id: one.id, attempt: 1, hash: one.hash, refused: false };
        let items: Vec<ReceiptItem> = batch.iter().map(item).collect();
        seq += BATCH;
        let enqueued = store.enqueue(batch, NOW).await?;
        let parts = vec![(sender, Bytes(vec![0; 100]))];
        let acked = store.ack(vec![Receipt { mesh: MESH, recipient, items, parts }], NOW).await?;
        let accepted = enqueued.outcomes.iter().all(|outcomes| outcomes[..] == [Outcome::Accepted]);
        if !accepted || acked.removed[0].len() as u64 != BATCH {
            return Err(StoreError::Corrupt("the store lost a message".into()));
        }
    }
    Ok(seq)
}

fn envelope(sender: DeviceId, recipient: DeviceId, seq: u64) -> Enqueue {
    let mut name = [0; 40];
    name[..32].copy_from_slice(sender.as_bytes());
    name[32..].copy_from_slice(&seq.to_be_bytes());
    let hash = sha256(&name);
    // Ids grow with time, as real ones do.
    let mut id = [0; 16];
    id[..8].copy_from_slice(&seq.to_be_bytes());
    Enqueue {
        mesh: MESH,
        sender,
        id: MessageId::from_bytes(id),
        attempt: 1,
        hash,
        expires: NOW.plus(3_600_000),
        deliver_at: None,
        head: OpenRoster::HEAD,
        envelope: Bytes(vec![7; ENVELOPE]),
        proof: Bytes(vec![7; 300]),
        recipients: vec![Recipient {
            device: recipient,
            prekey: 1,
            lane: 1,
            seq,
            record: Bytes(vec![7; RECORD]),
            member_of: Bytes(vec![0; 4]),
        }],
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(5);
    let folder = std::env::temp_dir().join(format!("claudemesh-store-bench-{}", std::process::id()));
    let result = measure(&folder, Duration::from_secs(seconds)).await;
    let _ = std::fs::remove_dir_all(&folder);
    match result {
        Ok(rate) => {
            eprintln!("{rate:.0} messages/s enqueued and acknowledged (gate: {GATE:.0})");
            if rate < GATE { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
