//! Starting a daemon on demand. The daemon is this test binary, run again for one test.

use std::process::{Command, Stdio};
use std::sync::Arc;

use claudemesh_client::service::Service;
use claudemesh_client::testing::Fake;
use claudemesh_client::{Attached, Error, ErrorKind, Holder, Home, api, daemon};

const ROLE: &str = "CLAUDEMESH_TEST_DAEMON";

/// Not a test of its own: the process that the tests below start.
#[test]
fn daemon_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(async {
        let home = Home::from_env().unwrap();
        let open = async |_lock| match role.as_str() {
            "corrupt" => Err(Error::new(ErrorKind::Corrupt, "the store is damaged").with_hint("restore it")),
            _ => Ok(Fake::new("team", "alice").service()),
        };
        daemon::run(&home, open, std::future::pending()).await
    });
    std::process::exit(i32::from(result.is_err()));
}

fn child(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "start::daemon_process", "--nocapture", "--quiet"]).env(ROLE, role);
    command
}

fn home() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path()).unwrap();
    (folder, home)
}

#[tokio::test]
async fn the_first_caller_starts_the_daemon_and_later_ones_use_it() {
    let (_folder, home) = home();
    let first = daemon::ensure(&home, || child("serve")).await.unwrap();
    assert_ne!(first.version().pid, std::process::id());
    let second = daemon::ensure(&home, || panic!("it runs already")).await.unwrap();
    assert_eq!(first.version(), second.version());
    assert!(Attached::stop(&home).await.unwrap());
    assert!(!Attached::stop(&home).await.unwrap());
    let third = daemon::ensure(&home, || child("serve")).await.unwrap();
    assert_ne!(third.version().pid, first.version().pid);
    third.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_start_at_once_end_with_one_daemon() {
    let (_folder, home) = home();
    let home = Arc::new(home);
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let home = Arc::clone(&home);
        starts.spawn(async move { daemon::ensure(&home, || child("serve")).await.unwrap().version().pid });
    }
    let pids = starts.join_all().await;
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    Attached::stop(&home).await.unwrap();
}

#[tokio::test]
async fn a_daemon_that_cannot_start_says_why() {
    let (_folder, home) = home();
    let error = daemon::ensure(&home, || child("corrupt")).await.unwrap_err();
    assert_eq!((error.kind(), error.hint()), (ErrorKind::Corrupt, Some("restore it")));
}

#[tokio::test]
async fn a_home_held_by_a_program_is_reported_at_once() {
    let (_folder, home) = home();
    let _lock = home.lock(Holder::Program).unwrap();
    let error = daemon::ensure(&home, || child("serve")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
}

#[tokio::test]
async fn a_program_that_is_no_daemon_is_found_out() {
    let (_folder, home) = home();
    let error = daemon::ensure(&home, || Command::new("/bin/false")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    let error = daemon::ensure(&home, || Command::new("/nonexistent/claudemesh")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn a_daemon_that_was_killed_is_replaced_and_its_readers_go_on() {
    let (_folder, home) = home();
    let first = daemon::ensure(&home, || child("serve")).await.unwrap();
    let mut feed = first.events(None, api::EventsQuery::default()).await.unwrap();
    let pid = first.version().pid.to_string();
    Command::new("kill").args(["-9", &pid]).stderr(Stdio::null()).status().unwrap();
    let second = loop {
        match daemon::ensure(&home, || child("serve")).await {
            Ok(attached) if attached.version().pid != first.version().pid => break attached,
            _ => tokio::task::yield_now().await,
        }
    };
    // The same handle works again: it knows the socket, not the process.
    first.whoami(None).await.unwrap();
    let reader = tokio::spawn(async move { futures_util::StreamExt::next(&mut feed).await });
    assert!(!reader.is_finished());
    reader.abort();
    second.shutdown().await.unwrap();
}
