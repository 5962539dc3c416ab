//! Starting on demand: a program that finds no daemon starts one and waits until it answers.
//!
//! The home's lock decides who serves, however many start at once. A started daemon says on its standard output, in one
//! line of JSON, that it serves or why it cannot.

use std::future::Future;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use super::Daemon;
use crate::api;
use crate::attach::Attached;
use crate::error::{Error, ErrorKind};
use crate::home::{Holder, Home, HomeLock};
use crate::local::Version;
use crate::service::Service;

/// How long a started daemon may take until it answers.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// How long a starting daemon waits for one that is just ending and does not answer any more.
const HANDOVER: Duration = Duration::from_secs(8);
/// Somebody may only be looking whether the home is free.
const GLANCE: Duration = Duration::from_millis(100);
const OUTPUT_LIMIT: u64 = 64 * 1024;

/// The line with which a started daemon reports.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Report {
    Failed(api::ErrorBody),
    Ready { ready: Version },
}

/// Reaches the home's daemon, and starts one first when none answers.
///
/// `spawn` gives the command that runs [`run`] for this home; it is detached from the terminal and the caller's process
/// group, gets the home in `CLAUDEMESH_HOME` when it has a folder of its own, and writes its errors to the home's log.
///
/// # Errors
/// Those of [`Attached::open`] except that none answers; the started daemon's own error, such as
/// [`ErrorKind::Locked`], [`ErrorKind::Corrupt`] or [`ErrorKind::Unwritable`]; [`ErrorKind::Unreachable`] when it does
/// not answer in time.
pub async fn ensure(home: &Home, spawn: impl FnOnce() -> Command) -> Result<Attached, Error> {
    if let Some(attached) = attach(home).await? {
        return Ok(attached);
    }
    let mut child = start(home, spawn())?;
    let deadline = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    let mut another = None;
    loop {
        if let Some(attached) = attach(home).await? {
            if attached.version().pid != child.pid && !child.reported {
                // Another daemon was faster. Ours must have seen that and given up before we go on: one that is still
                // starting would take the home when the other is stopped.
                let _ = timeout_at(deadline, &mut child.outcome).await;
            }
            return Ok(attached);
        }
        if Instant::now() >= deadline {
            return Err(another.unwrap_or_else(|| {
                Error::new(ErrorKind::Unreachable, "the daemon was started but does not answer")
                    .with_hint(format!("see {}", home.log_file().display()))
            }));
        }
        tokio::select! {
            () = sleep(pause) => pause = LONGEST_PAUSE.min(pause * 2),
            outcome = &mut child.outcome, if !child.reported => {
                child.reported = true;
                match outcome.unwrap_or(Outcome::Silent) {
                    // Another daemon was faster and will answer. A program that embeds the client never will.
                    Outcome::Failed(error) if error.kind() == ErrorKind::Locked
                        && home.last_holder() != Some(Holder::Program) => another = Some(error),
                    Outcome::Failed(error) => return Err(error),
                    Outcome::Ended(status) => return Err(ended(home, status)),
                    Outcome::Ready | Outcome::Silent => {}
                }
            }
        }
    }
}

/// Takes a home for a daemon. Waits for one that is just ending, but not for one that serves.
///
/// # Errors
/// As [`Home::lock`].
pub async fn lock(home: &Home) -> Result<HomeLock, Error> {
    let start = Instant::now();
    loop {
        let error = match home.lock(Holder::Daemon) {
            Err(error) if error.kind() == ErrorKind::Locked => error,
            result => return result,
        };
        let patience = if home.last_holder() == Some(Holder::Program) { GLANCE } else { HANDOVER };
        if start.elapsed() >= patience || attach(home).await?.is_some() {
            return Err(error);
        }
        sleep(FIRST_PAUSE * 4).await;
    }
}

/// The whole life of a daemon process: takes the home, opens its service, serves, and reports to the program that
/// started it. Ends when `stop` does or a request asks for it.
///
/// # Errors
/// As [`lock`] and [`Daemon::serve`], and what `open` returns; each was reported before.
pub async fn run<F>(home: &Home, open: impl FnOnce(HomeLock) -> F, stop: impl Future<Output = ()>) -> Result<(), Error>
where
    F: Future<Output = Result<Arc<dyn Service>, Error>>,
{
    let start = async {
        let lock = lock(home).await?;
        let service = open(lock.clone()).await?;
        Ok((Daemon::serve(service, lock.clone()).await?, lock))
    };
    let (daemon, lock) = match start.await {
        Ok(daemon) => daemon,
        Err(error) => {
            report(&Report::Failed(api::ErrorBody::from(&error)));
            return Err(error);
        }
    };
    report(&Report::Ready { ready: Version::own() });
    let result = daemon.until(stop).await;
    // The system gives the home back when this process is gone: whoever waits for that waits for the lock.
    std::mem::forget(lock);
    result
}

/// Nobody may listen: a daemon started by hand has no program that waits for it.
fn report(report: &Report) {
    let mut line = serde_json::to_vec(report).unwrap_or_default();
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

async fn attach(home: &Home) -> Result<Option<Attached>, Error> {
    match Attached::open(home).await {
        Ok(attached) => Ok(Some(attached)),
        Err(error) if error.kind() == ErrorKind::Unreachable => Ok(None),
        Err(error) => Err(error),
    }
}

struct Started {
    pid: u32,
    outcome: oneshot::Receiver<Outcome>,
    reported: bool,
}

enum Outcome {
    Ready,
    Failed(Error),
    Ended(ExitStatus),
    /// It runs but says nothing.
    Silent,
}

fn start(home: &Home, mut command: Command) -> Result<Started, Error> {
    let log = home.open_log()?;
    if let Some(root) = home.root() {
        command.env("CLAUDEMESH_HOME", root);
    }
    // A group of its own: what interrupts the caller in its terminal leaves the daemon alone.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let program = command.get_program().to_owned();
    let child = command.spawn().map_err(|error| {
        Error::new(ErrorKind::Internal, format!("the daemon {} cannot be started", program.display()))
            .with_source(error)
    })?;
    let pid = child.id();
    let (sender, outcome) = oneshot::channel();
    // A thread of its own, because it also waits for the end of the daemon, which may outlive the runtime: without
    // that an ended daemon would stay a zombie as long as its starter runs.
    std::thread::Builder::new()
        .name("claudemesh-daemon".into())
        .spawn(move || watch(child, sender))
        .map_err(|error| Error::new(ErrorKind::Internal, "no thread can be started").with_source(error))?;
    Ok(Started { pid, outcome, reported: false })
}

fn watch(mut child: Child, sender: oneshot::Sender<Outcome>) {
    let outcome = match child.stdout.take().and_then(first_report) {
        Some(Report::Ready { .. }) => Outcome::Ready,
        Some(Report::Failed(body)) => Outcome::Failed(body.into()),
        None => match child.wait() {
            Ok(status) => Outcome::Ended(status),
            Err(_) => Outcome::Silent,
        },
    };
    // The starter may have found another daemon and gone.
    let _ = sender.send(outcome);
    let _ = child.wait();
}

/// The report among the first lines; what a library prints beside it is not ours to judge.
fn first_report(out: ChildStdout) -> Option<Report> {
    BufReader::new(out.take(OUTPUT_LIMIT))
        .lines()
        .map_while(Result::ok)
        .find_map(|line| serde_json::from_str(&line).ok())
}

fn ended(home: &Home, status: ExitStatus) -> Error {
    let message = match last_line(home) {
        Some(line) => format!("the daemon ended as it started ({status}): {line}"),
        None => format!("the daemon ended as it started ({status})"),
    };
    Error::new(ErrorKind::Internal, message).with_hint(format!("see {}", home.log_file().display()))
}

/// The last line of the log, safe to print.
fn last_line(home: &Home) -> Option<String> {
    use std::io::{Seek, SeekFrom};
    let mut log = std::fs::File::open(home.log_file()).ok()?;
    let length = log.metadata().ok()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(4096))).ok()?;
    let mut tail = Vec::new();
    log.take(4096).read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail);
    let line = tail.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(300).collect())
}
