//! The store in a file: one writer thread, many operations per commit.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use claudemesh_core::codec::Bytes;
use claudemesh_core::{DeviceId, LogId, MeshId, Millis};
use rand_core::CryptoRng;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::sync::{mpsc, oneshot};

use super::logic::{Logic, Res};
use super::trouble::Trouble;
use super::{
    Acked, Delivery, DeviceFacts, Elapsed, Enqueue, Enqueued, Folds, Limits, LogAppend, LogAppended, LogInfo, LogRange,
    Notice, Page, Pending, Receipt, RecordPut, RosterAppended, RosterRange, Store, StoreError, StoreMeta, schema,
};

/// Operations gathered into one transaction.
const MAX_GATHERED: usize = 512;
/// Time a transaction may gather operations for, so that none of them waits long for its answer.
const GATHER_TIME: Duration = Duration::from_millis(20);
/// Operations that may wait; a caller of one more waits for a place.
const QUEUE: usize = 512;

/// Sends the answer once the fate of the transaction is known.
type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Op<F> = Box<dyn FnOnce(&mut Logic<F>) -> Finish + Send>;

enum Job<F: Folds> {
    Do(Op<F>),
    /// Ends the thread; answered once the files are free.
    Close(oneshot::Sender<Result<(), StoreError>>),
}

/// A store in an SQLite file.
pub struct SqliteStore<F: Folds> {
    jobs: mpsc::Sender<Job<F>>,
}

impl<F: Folds> std::fmt::Debug for SqliteStore<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteStore")
    }
}

impl<F: Folds> SqliteStore<F> {
    /// Opens or creates the file. It is locked against a second process for the life of the store.
    ///
    /// # Errors
    /// [`StoreError`]: `Locked`, `Foreign`, `UnknownSchema`, `Corrupt`, `DiskFull` or `Io`.
    pub fn open(path: &Path, folds: F, limits: Limits, rng: &mut impl CryptoRng) -> Result<Self, StoreError> {
        let (db, lock) = schema::open_file(path, rng)?;
        Self::start(Logic::new(db, folds, limits)?, lock)
    }

    fn start(mut logic: Logic<F>, lock: File) -> Result<Self, StoreError> {
        let (jobs, mut queue) = mpsc::channel::<Job<F>>(QUEUE);
        thread::Builder::new().name("broker-store".into()).spawn(move || {
            let mut gather = MAX_GATHERED;
            let mut trouble = Trouble::default();
            let mut closing = None;
            while closing.is_none() {
                match queue.blocking_recv() {
                    Some(Job::Do(first)) => {
                        let fate = run(&mut logic, first, &mut queue, gather, &mut closing);
                        trouble.note(&fate, Instant::now());
                        // After a failure each one goes alone for a while: what frees room must not fail with what needs it.
                        gather = if fate.is_err() { 1 } else { (gather * 2).min(MAX_GATHERED) };
                    }
                    Some(Job::Close(reply)) => closing = Some(reply),
                    None => break,
                }
            }
            drop((logic, lock));
            if let Some(reply) = closing {
                let _ = reply.send(Ok(()));
            }
        })?;
        Ok(Self { jobs })
    }

    fn submit<T: Send + 'static>(&self, op: impl FnOnce(&mut Logic<F>) -> Res<T> + Send + 'static) -> Pending<T> {
        let (reply, answer) = oneshot::channel();
        let op: Op<F> = Box::new(move |logic| {
            let result = logic.attempt(op);
            Box::new(move |fate| {
                let _ = reply.send(fate.and(result));
            })
        });
        self.send(Job::Do(op), answer)
    }

    fn send<T: Send + 'static>(&self, job: Job<F>, answer: oneshot::Receiver<Result<T, StoreError>>) -> Pending<T> {
        let unsent = match self.jobs.try_send(job) {
            // A closed store drops the job and with it the answer's other end.
            Ok(()) | Err(TrySendError::Closed(_)) => None,
            Err(TrySendError::Full(job)) => Some((self.jobs.clone(), job)),
        };
        Box::pin(async move {
            if let Some((jobs, job)) = unsent {
                jobs.send(job).await.map_err(|_| StoreError::Closed)?;
            }
            answer.await.map_err(|_| StoreError::Closed)?
        })
    }
}

/// Runs one transaction over whatever waits, up to a wish to close, and says how it ended: whether anything was written.
fn run<F: Folds>(
    logic: &mut Logic<F>,
    first: Op<F>,
    queue: &mut mpsc::Receiver<Job<F>>,
    gather: usize,
    closing: &mut Option<oneshot::Sender<Result<(), StoreError>>>,
) -> Result<bool, StoreError> {
    let began = Instant::now();
    logic.begin();
    let mut finish = vec![first(logic)];
    while finish.len() < gather && began.elapsed() < GATHER_TIME {
        match queue.try_recv() {
            Ok(Job::Do(op)) => finish.push(op(logic)),
            Ok(Job::Close(reply)) => {
                *closing = Some(reply);
                break;
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
        }
    }
    let fate = logic.end();
    for finish in finish {
        finish(fate.clone().map(drop));
    }
    fate
}

impl<F: Folds> Store for SqliteStore<F> {
    super::logic::store_operations!(F);

    fn close(&self) -> Pending<()> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Close(reply), answer)
    }
}

#[cfg(test)]
mod tests;
