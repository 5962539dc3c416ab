//! The home's durable store: one SQLite file on one thread, all meshes in it.
//!
//! It owns what is on disk and nothing of the rules: it keeps the [`Change`]s of the sessions, gives them back as
//! [`Snapshot`]s, and answers the questions of the service. A commit is answered after its fsync; commits that wait
//! together share one.

mod load;
pub(crate) mod log;
mod query;
mod rejoin;
mod request;
mod schema;
mod session;
mod sweep;
pub(crate) mod view;
mod write;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use claudemesh_core::session::{Change, Snapshot};
use claudemesh_core::{MeshId, MessageId};
use rusqlite::Connection;
use tokio::sync::{Notify, oneshot};

pub(crate) use query::{EventRow, InboxItem, MeshColumn, MeshRow, MessageRow, NewMesh, StoredInvite};
pub(crate) use request::RequestRow;
pub(crate) use session::WaitingRow;
pub(crate) use write::now_ms;

use crate::error::{Error, ErrorKind};

/// New posts are taken into the index when there are so many, or when nothing was asked for so long.
const INDEX_POSTS: usize = 4096;
const INDEX_AFTER: Duration = Duration::from_millis(250);
/// Commits gathered into one transaction.
const MAX_GATHERED: usize = 256;

type Job = Box<dyn FnOnce(&mut State) + Send>;

enum Request {
    Commit(Commit),
    Run(Job),
    /// Closes the file; answered by the sender's end.
    Close(oneshot::Sender<()>),
}

struct Commit {
    mesh: i64,
    changes: Vec<Change>,
    extra: Vec<Extra>,
    durable: bool,
    reply: oneshot::Sender<Result<(), Error>>,
}

/// What is committed beside the session's changes.
#[derive(Debug)]
pub(crate) enum Extra {
    /// A roster event for the feed.
    RosterEvent { change: &'static str, member: Option<[u8; 32]>, index: u64 },
    /// The caller's fingerprint of a message it named itself.
    Fingerprint { id: [u8; 16], hash: [u8; 32] },
    /// A change of a room that its caller named, whose record is queued under this ticket.
    Request { id: MessageId, hash: [u8; 32], ticket: u64 },
    /// A link of an invite made here.
    Invite { id: [u8; 32], link: String },
    /// A host confirmed these messages of the inbox.
    Injected { messages: Vec<i64> },
    /// The senders of these messages of the inbox were told this claim.
    Told { messages: Vec<i64>, claim: u64 },
    /// The session that a message was addressed to.
    Addressed { id: [u8; 16], session: String },
}

/// What the store thread owns.
pub(crate) struct State {
    pub(crate) db: Connection,
    pub(crate) seen: write::SeenCache,
    logs: log::LogRows,
    /// Posts that are not in the index yet, or more.
    new_posts: usize,
    retention: Arc<Notify>,
}

/// A handle to the store thread; the thread ends with the last handle.
#[derive(Clone)]
pub(crate) struct Store {
    requests: mpsc::Sender<Request>,
    /// The write-ahead log; none in memory.
    log: Option<Arc<Path>>,
    /// Told when a topic may keep its posts for another time than before.
    pub(crate) retention: Arc<Notify>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens the store file, or a store in memory.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Error> {
        let mut db = schema::open(path)?;
        rejoin::settle(&mut db)?;
        let new_posts = usize::from(view::search::is_behind(&db).map_err(db_error)?);
        let (requests, queue) = mpsc::channel();
        let retention = Arc::<Notify>::default();
        let state = State {
            db,
            seen: write::SeenCache::default(),
            logs: log::LogRows::default(),
            new_posts,
            retention: Arc::clone(&retention),
        };
        thread::Builder::new()
            .name("claudemesh-store".into())
            .spawn(move || run(state, &queue))
            .map_err(|error| Error::new(ErrorKind::Internal, "cannot start the store thread").with_source(error))?;
        let log = path.map(|path| {
            let mut log = path.as_os_str().to_owned();
            log.push("-wal");
            Arc::from(PathBuf::from(log))
        });
        Ok(Self { requests, log, retention })
    }

    /// Commits changes of one mesh; when `durable`, answered after they are on disk. The commit is under way at once.
    pub(crate) fn commit(&self, mesh: i64, changes: Vec<Change>, extra: Vec<Extra>, durable: bool) -> Committed {
        let (reply, answer) = oneshot::channel();
        let commit = Commit { mesh, changes, extra, durable, reply };
        // When the thread is gone, so is the sender's end: the answer says it.
        let _ = self.requests.send(Request::Commit(commit));
        Committed(answer)
    }

    /// Brings everything committed so far to the disk.
    pub(crate) async fn sync(self) -> Result<(), Error> {
        let Some(log) = self.log else { return Ok(()) };
        let synced = tokio::task::spawn_blocking(move || File::open(&*log)?.sync_data()).await;
        synced
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|error| Error::new(ErrorKind::Unwritable, UNWRITABLE.0).with_hint(UNWRITABLE.1).with_source(error))
    }

    /// Runs a closure on the store thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut State) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(move |state: &mut State| {
            let _ = reply.send(job(state));
        });
        self.requests.send(Request::Run(job)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Runs a transaction that need not survive a power failure at once.
    async fn relaxed<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.run(move |state| {
            write::relaxed(state, |state| {
                let tx = state.db.transaction().map_err(db_error)?;
                let result = work(&tx).map_err(db_error)?;
                tx.commit().map_err(db_error)?;
                Ok(result)
            })
        })
        .await
    }

    /// Closes the file for all handles, after everything asked for before.
    pub(crate) async fn close(&self) {
        let (closed, answer) = oneshot::channel();
        if self.requests.send(Request::Close(closed)).is_ok() {
            let _ = answer.await;
        }
    }

    /// What a session starts from.
    pub(crate) async fn load(&self, mesh: i64, id: MeshId) -> Result<Snapshot, Error> {
        self.run(move |state| load::snapshot(&state.db, mesh, id)).await
    }
}

/// A commit under way.
#[derive(Debug)]
pub(crate) struct Committed(oneshot::Receiver<Result<(), Error>>);

impl Future for Committed {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or_else(|_| Err(gone())))
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Internal, "the store has stopped")
}

/// The next request. While there is none for a while, the index catches up.
fn next(state: &mut State, queue: &mpsc::Receiver<Request>) -> Option<Request> {
    if state.new_posts >= INDEX_POSTS {
        index(state);
    }
    if state.new_posts > 0 {
        match queue.recv_timeout(INDEX_AFTER) {
            Ok(request) => return Some(request),
            Err(mpsc::RecvTimeoutError::Disconnected) => return None,
            Err(mpsc::RecvTimeoutError::Timeout) => index(state),
        }
    }
    queue.recv().ok()
}

fn index(state: &mut State) {
    if let Err(error) = write::index(state) {
        tracing::warn!(kind = error.kind().code(), "new posts are not in the index yet");
    }
}

fn run(mut state: State, queue: &mpsc::Receiver<Request>) {
    let mut carried = None;
    while let Some(request) = carried.take().or_else(|| next(&mut state, queue)) {
        let first = match request {
            Request::Run(job) => {
                job(&mut state);
                continue;
            }
            Request::Commit(commit) => commit,
            Request::Close(closed) => {
                drop(state);
                return drop(closed);
            }
        };
        let mut durable = first.durable;
        let mut batch = vec![(first.mesh, first.changes, first.extra)];
        let mut replies = vec![first.reply];
        while batch.len() < MAX_GATHERED {
            match queue.try_recv() {
                Ok(Request::Commit(next)) => {
                    durable |= next.durable;
                    batch.push((next.mesh, next.changes, next.extra));
                    replies.push(next.reply);
                }
                Ok(other) => {
                    carried = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        let result = write::commit(&mut state, &batch, durable);
        if result.is_ok() && batch.iter().flat_map(|(_, changes, _)| changes).any(log::concerns_retention) {
            state.retention.notify_one();
        }
        for reply in replies {
            let answer = result.as_ref().copied().map_err(|error| {
                let mut copy = Error::new(error.kind(), error.message());
                if let Some(hint) = error.hint() {
                    copy = copy.with_hint(hint);
                }
                copy
            });
            let _ = reply.send(answer);
        }
    }
}

/// A store of nobody's, in memory.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn memory() -> Result<Connection, Error> {
    schema::open(None)
}

const UNWRITABLE: (&str, &str) = (
    "the home's store cannot be written",
    "free space on the disk or fix the permissions of the home, then try again; nothing was lost",
);

/// An SQLite error as one of ours.
pub(crate) fn db_error(error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let kind = match error.sqlite_error_code() {
        Some(Code::DiskFull | Code::ReadOnly | Code::PermissionDenied | Code::SystemIoFailure | Code::CannotOpen) => {
            ErrorKind::Unwritable
        }
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => ErrorKind::Corrupt,
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => ErrorKind::Locked,
        _ => ErrorKind::Internal,
    };
    let (message, hint) = match kind {
        ErrorKind::Unwritable => UNWRITABLE,
        ErrorKind::Corrupt => (
            "the home's store is damaged; the file was left as it is",
            "restore it from a copy, or move the file away and join again by a fresh invite",
        ),
        ErrorKind::Locked => ("another process holds the home's store", "stop it with `claudemesh down`"),
        _ => ("the home's store failed", "run `claudemesh status`; if it stays, report it with the daemon's log"),
    };
    Error::new(kind, message).with_hint(hint).with_source(error)
}
