//! What only a file can show: opening, crashing, filling up.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use claudemesh_core::codec::Bytes;
use claudemesh_core::testing::SeededRng;

use super::*;
use crate::store::conformance::fixture::{A, ACCEPTED, ALL, B, DUPLICATE, MESH, NOW, World, limits, receipt, run};
use crate::store::testing::{LogKind, RosterKind, TestFolds, log_entry};
use crate::store::{Enqueue, Outcome, Refusal};

fn open(path: &Path) -> Result<SqliteStore<TestFolds>, StoreError> {
    let limits = Limits { mailbox_rows: 1_000_000, ..limits() };
    SqliteStore::open(path, TestFolds, limits, &mut SeededRng::new(path.as_os_str().len() as u64))
}

/// Opens the file, founds the mesh, runs `work` and closes the file.
fn found<T: Future<Output = ()>>(path: &Path, work: impl FnOnce(World) -> T) {
    let store = Arc::new(open(path).unwrap());
    run(async {
        work(World::begin(store.clone()).await).await;
        store.close().await.unwrap();
    });
}

fn error(path: &Path) -> StoreError {
    open(path).unwrap_err()
}

#[test]
fn everything_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/store.db");
    let mut envelopes = Vec::new();
    let mut meta = None;
    let mut later = None;
    found(&path, |mut world| {
        envelopes = (1..=3).map(|seq| world.envelope(B, seq)).collect();
        let (envelopes, meta, later) = (&envelopes, &mut meta, &mut later);
        async move {
            world.store.enqueue(envelopes.clone(), NOW).await.unwrap();
            world.ack(B, &[&envelopes[0]], true).await;
            let append = log_append(1);
            world.store.log_append(append, NOW).await.unwrap();
            world.append(RosterKind::Remove, 4, &crate::store::conformance::fixture::C).await.unwrap();
            *later = Some(world.envelope(B, 4));
            *meta = Some(world.store.meta().await.unwrap());
        }
    });
    let store: Arc<dyn Store> = Arc::new(open(&path).unwrap());
    run(async {
        let range = store.roster_range(MESH, 0, ALL).await.unwrap();
        assert_eq!(range.entries.len(), 5);
        let world = World { store, head: range.head.unwrap() };
        assert_eq!(Some(world.store.meta().await.unwrap()), meta);
        let mail = world.mail(B).await;
        assert_eq!(mail.iter().map(|mail| mail.offset).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(world.send(&envelopes[1]).await, DUPLICATE);
        let mut again = envelopes[0].clone();
        (again.attempt, again.hash) = (2, [2; 32]);
        assert_eq!(world.send(&again).await, ACCEPTED);
        assert_eq!(world.send(&later.unwrap()).await, ACCEPTED);
        assert_eq!(world.mail(B).await.last().unwrap().offset, 5);
        assert_eq!(world.ack(B, &[&envelopes[1]], false).await, [2]);
        assert_eq!(world.store.notices(MESH, A, 0, ALL).await.unwrap().last().unwrap().0, 2);
        assert!(world.store.log_append(log_append(1), NOW).await.unwrap().duplicate);
        let mut next = log_append(2);
        next.entry = log_entry(LogKind::Records, 1, b"next");
        assert_eq!(world.store.log_append(next, NOW).await.unwrap().offset, 2);
    });
}

fn log_append(seq: u64) -> LogAppend {
    let log = LogId::from_bytes([3; 16]);
    let start = claudemesh_core::hash::Label::new("log-chain").hash(&[log.as_bytes()]);
    LogAppend {
        mesh: MESH,
        log,
        author: A,
        seq,
        seen: (0, start),
        hash: [seq as u8; 32],
        entry: log_entry(LogKind::Commit, seq, b""),
        expected_tail: None,
    }
}

#[test]
fn only_the_owner_can_read_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker/store.db");
    let store = open(&path).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("broker")), 0o700);
    run(store.meta()).unwrap();
    for file in std::fs::read_dir(folder.path().join("broker")).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[test]
fn a_second_opener_is_told_that_the_store_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path).unwrap();
    assert_eq!(error(&path), StoreError::Locked);
    run(store.close()).unwrap();
    open(&path).unwrap();
    assert_eq!(run(store.meta()), Err(StoreError::Closed));
    assert_eq!(run(store.close()), Err(StoreError::Closed));
}

#[test]
fn foreign_newer_and_damaged_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.db");
    std::fs::write(&path, "not a database, and long enough to tell\n".repeat(400)).unwrap();
    assert_eq!(error(&path), StoreError::Foreign);

    let path = folder.path().join("other.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (n)").unwrap();
    drop(other);
    assert_eq!(error(&path), StoreError::Foreign);

    let path = folder.path().join("newer.db");
    run(open(&path).unwrap().close()).unwrap();
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    assert!(matches!(error(&path), StoreError::UnknownSchema { found: 99, .. }));

    let path = folder.path().join("cut.db");
    found(&path, |_| async {});
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(open(&path).is_err());
}

#[test]
fn a_full_disk_fails_what_needs_room_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (db, lock) = schema::open_file(&folder.path().join("store.db"), &mut SeededRng::new(1)).unwrap();
    db.pragma_update(None, "max_page_count", 60).unwrap();
    let limits = Limits { mailbox_rows: 1_000_000, ..limits() };
    let store = Arc::new(SqliteStore::start(Logic::new(db, TestFolds, limits).unwrap(), lock).unwrap());
    run(async {
        let world = World::begin(store).await;
        assert_eq!(world.store.writable().await, Ok(()));
        let big = |seq| Enqueue { envelope: Bytes(vec![7; 900]), ..world.envelope(B, seq) };
        let mut stored = Vec::new();
        let failure = loop {
            let envelope = big(stored.len() as u64 + 1);
            match world.store.enqueue(vec![envelope.clone()], NOW).await {
                Ok(enqueued) => assert_eq!(enqueued.outcomes, [ACCEPTED]),
                Err(error) => break error,
            }
            stored.push(envelope);
        };
        assert_eq!(failure, StoreError::DiskFull);
        assert_eq!(world.store.writable().await, Err(StoreError::DiskFull));
        assert!(failure.is_retryable());
        assert_eq!(world.mail(B).await.len(), stored.len());
        // Receipts go through next to envelopes that fail, or before them, and then there is room again.
        let mut failing = Vec::new();
        for _ in 0..4 {
            failing.push(world.store.enqueue(vec![big(stored.len() as u64 + 1)], NOW));
        }
        let half = stored.len() / 2;
        let (gone, left) = stored.split_at(half);
        let acked = world.store.ack(vec![receipt(B, &gone.iter().collect::<Vec<_>>(), false)], NOW);
        for answer in failing {
            assert!(matches!(answer.await, Ok(_) | Err(StoreError::DiskFull)));
        }
        assert_eq!(acked.await.unwrap().removed[0].len(), half);
        assert!([ACCEPTED, DUPLICATE].contains(&[world.send(&big(stored.len() as u64 + 1)).await[0]]));
        assert_eq!(world.send(&stored[0]).await, DUPLICATE);
        assert_eq!(world.mail(B).await.len(), left.len() + 1);
    });
}

const CRASH_FILE: &str = "CLAUDEMESH_TEST_CRASH_FILE";

/// Not a test of its own: the process that the next one kills. It says every seq that was answered.
#[test]
#[ignore = "started by a_killed_process_loses_nothing_it_had_answered"]
fn crash_child() {
    let Some(path) = std::env::var_os(CRASH_FILE) else { return };
    let store: Arc<dyn Store> = Arc::new(open(Path::new(&path)).unwrap());
    run(async {
        let head = store.roster_range(MESH, 0, ALL).await.unwrap().head.unwrap();
        let world = World { store, head };
        let begin = world.mail(B).await.last().map_or(0, |mail| mail.offset);
        for seq in begin + 1.. {
            assert_eq!(world.send(&world.envelope(B, seq)).await, ACCEPTED);
            let mut out = std::io::stderr().lock();
            writeln!(out, "answered {seq}").unwrap();
            out.flush().unwrap();
        }
    });
}

#[test]
fn a_killed_process_loses_nothing_it_had_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    found(&path, |_| async {});
    for round in 1..=3_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::sqlite::tests::crash_child", "--ignored", "--nocapture"])
            .env(CRASH_FILE, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut answered = 0;
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            if let Some(seq) = line.strip_prefix("answered ") {
                answered = seq.parse().unwrap();
                if answered >= round * 40 {
                    // SIGKILL on Unix.
                    let _ = child.kill();
                }
            }
        }
        child.wait().unwrap();
        assert!(answered >= round * 40, "the child did not get far enough");
        let store = Arc::new(open(&path).unwrap());
        run(async {
            let mail = store.mailbox(MESH, B, 0, ALL, NOW).await.unwrap();
            // Besides what was answered at most the one that was on its way.
            assert!((answered..=answered + 1).contains(&(mail.len() as u64)));
            let range = store.roster_range(MESH, 0, ALL).await.unwrap();
            let world = World { store: store.clone(), head: range.head.unwrap() };
            for seq in 1..=answered {
                assert_eq!(world.send(&world.envelope(B, seq)).await, [Outcome::Duplicate]);
            }
            store.close().await.unwrap();
        });
    }
}

#[test]
fn callers_that_come_at_once_share_commits() {
    let folder = tempfile::tempdir().unwrap();
    found(&folder.path().join("store.db"), |world| async move {
        let before = world.store.meta().await.unwrap().commit;
        let answers = (1..=2000).map(|seq| world.store.enqueue(vec![world.envelope(B, seq)], NOW));
        for answer in futures_util::future::join_all(answers).await {
            assert_eq!(answer.unwrap().outcomes, [ACCEPTED]);
        }
        assert!(world.store.meta().await.unwrap().commit - before < 100);
        assert_eq!(world.send(&world.envelope(B, 2000)).await, DUPLICATE);
        let refused = world.store.enqueue(vec![world.envelope(crate::store::conformance::fixture::STRANGER, 1)], NOW);
        assert_eq!(refused.await.unwrap().outcomes, [[Outcome::Refused(Refusal::UnknownRecipient)]]);
    });
}

#[test]
fn what_a_power_failure_takes_back_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("store.db"), folder.path().join("copy.db"));
    let mut announced = 0;
    found(&path, |world| {
        let (path, copy, announced) = (&path, &copy, &mut announced);
        async move {
            let (one, two) = (world.envelope(B, 1), world.envelope(B, 2));
            world.store.enqueue(vec![one.clone(), two.clone()], NOW).await.unwrap();
            // The disk as it is when the answer comes; a receipt waits for no more.
            for file in ["", "-wal"] {
                let name = |path: &Path| format!("{}{file}", path.display());
                std::fs::copy(name(path), name(copy)).unwrap();
            }
            assert_eq!(world.ack(B, &[&one], false).await, [1]);
            world.store.notices_done(MESH, A, 1).await.unwrap();
            *announced = world.store.meta().await.unwrap().commit;
            // A refusal is no such receipt: the next attempt needs it.
            world.ack(B, &[&two], true).await;
            assert_eq!(world.store.meta().await.unwrap().commit, *announced + 1);
        }
    });
    let store: Arc<dyn Store> = Arc::new(open(&copy).unwrap());
    run(async {
        assert_eq!(store.meta().await.unwrap().commit, announced, "nothing was told that the disk does not have");
        let head = store.roster_range(MESH, 0, ALL).await.unwrap().head.unwrap();
        let world = World { store, head };
        assert_eq!(world.mail(B).await.len(), 2);
        assert_eq!(world.ack(B, &[&world.envelope(B, 1)], false).await, [1]);
        assert_eq!(world.store.notices(MESH, A, 0, ALL).await.unwrap().len(), 1);
    });
}
