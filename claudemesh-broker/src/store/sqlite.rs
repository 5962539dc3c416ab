//! The store in a file: one writer thread, many operations per commit.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use claudemesh_core::codec::Bytes;
use claudemesh_core::{DeviceId, LogId, MeshId, Millis};
use rand_core::CryptoRng;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::logic::{Logic, Res, Sync};
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
    Do(Op<F>, Sync),
    /// Ends the thread; answered once the files are free.
    Close(oneshot::Sender<Result<(), StoreError>>),
}

/// A store in an SQLite file.
pub struct SqliteStore<F: Folds> {
    jobs: mpsc::Sender<Job<F>>,
    trouble: Arc<Mutex<Trouble>>,
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
        let (jobs, queue) = mpsc::channel(QUEUE);
        let trouble = Arc::new(Mutex::new(Trouble::default()));
        let noted = Arc::clone(&trouble);
        let mut intake = Intake { queue, now: VecDeque::new(), later: VecDeque::new(), closing: None };
        thread::Builder::new().name("broker-store".into()).spawn(move || {
            let mut gather = MAX_GATHERED;
            while intake.wait() {
                // What needs no sync is not held up by one. It frees room, too.
                for sync in [Sync::Later, Sync::Now] {
                    let Some(first) = intake.next(sync) else { continue };
                    let works = run(&mut logic, first, &mut intake, gather, sync, &noted);
                    // After a failure each one goes alone for a while: what frees room must not fail with what needs it.
                    gather = if works { (gather * 2).min(MAX_GATHERED) } else { 1 };
                }
            }
            drop((logic, lock));
            if let Some(reply) = intake.closing {
                let _ = reply.send(Ok(()));
            }
        })?;
        Ok(Self { jobs, trouble })
    }

    fn submit<T: Send + 'static>(
        &self,
        sync: Sync,
        op: impl FnOnce(&mut Logic<F>) -> Res<T> + Send + 'static,
    ) -> Pending<T> {
        let (reply, answer) = oneshot::channel();
        let op: Op<F> = Box::new(move |logic| {
            let result = logic.attempt(op);
            Box::new(move |fate| {
                let _ = reply.send(fate.and(result));
            })
        });
        self.send(Job::Do(op, sync), answer)
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

fn locked(trouble: &Mutex<Trouble>) -> MutexGuard<'_, Trouble> {
    trouble.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What waits, in the order it came, up to a wish to close.
struct Intake<F: Folds> {
    queue: mpsc::Receiver<Job<F>>,
    now: VecDeque<Op<F>>,
    later: VecDeque<Op<F>>,
    closing: Option<oneshot::Sender<Result<(), StoreError>>>,
}

impl<F: Folds> Intake<F> {
    /// Waits for something to do; `false` when nothing comes any more.
    fn wait(&mut self) -> bool {
        self.fill();
        while self.is_empty() && self.closing.is_none() {
            let Some(job) = self.queue.blocking_recv() else { return false };
            self.take(job);
            self.fill();
        }
        !self.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.now.is_empty() && self.later.is_empty()
    }

    fn fill(&mut self) {
        while self.closing.is_none() && self.now.len() + self.later.len() < MAX_GATHERED {
            let Ok(job) = self.queue.try_recv() else { return };
            self.take(job);
        }
    }

    fn take(&mut self, job: Job<F>) {
        match job {
            Job::Do(op, Sync::Now) => self.now.push_back(op),
            Job::Do(op, Sync::Later) => self.later.push_back(op),
            Job::Close(reply) => self.closing = Some(reply),
        }
    }

    /// The next operation of this kind.
    fn next(&mut self, sync: Sync) -> Option<Op<F>> {
        fn list<F: Folds>(intake: &mut Intake<F>, sync: Sync) -> &mut VecDeque<Op<F>> {
            match sync {
                Sync::Now => &mut intake.now,
                Sync::Later => &mut intake.later,
            }
        }
        if list(self, sync).is_empty() {
            self.fill();
        }
        list(self, sync).pop_front()
    }
}

/// Runs one transaction over what waits of one kind; whether it was committed.
fn run<F: Folds>(
    logic: &mut Logic<F>,
    first: Op<F>,
    intake: &mut Intake<F>,
    gather: usize,
    sync: Sync,
    trouble: &Mutex<Trouble>,
) -> bool {
    let began = Instant::now();
    logic.begin(sync);
    let mut finish = vec![first(logic)];
    while finish.len() < gather
        && began.elapsed() < GATHER_TIME
        && let Some(op) = intake.next(sync)
    {
        finish.push(op(logic));
    }
    let fate = logic.end();
    // Before it is told: who was told of a failure finds the store in trouble.
    locked(trouble).note(&fate, Instant::now());
    for finish in finish {
        finish(fate.clone().map(drop));
    }
    fate.is_ok()
}

impl<F: Folds> Store for SqliteStore<F> {
    super::logic::store_operations!(F);

    fn writable(&self) -> Pending<()> {
        let trouble = Arc::clone(&self.trouble);
        let proof =
            locked(&trouble).needs_proof().then(|| self.submit(Sync::Now, |logic: &mut Logic<F>| logic.touch()));
        Box::pin(async move {
            if let Some(proof) = proof {
                proof.await?;
            }
            locked(&trouble).reason(Instant::now()).map_or(Ok(()), |error| Err(error.clone()))
        })
    }

    fn close(&self) -> Pending<()> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Close(reply), answer)
    }
}

#[cfg(test)]
mod tests;
