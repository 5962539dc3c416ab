//! The `claudemesh` command as a shell runs it: start, a send through the daemon, memory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Fallible;
use crate::options::Options;
use crate::report::{Report, quantile};

const STARTS: usize = 5;
const SENDS: usize = 30;
/// How long a daemon has to become idle.
const SETTLE: Duration = Duration::from_secs(2);

pub(crate) async fn measure(options: &Options, folder: &Path, report: &mut Report) -> Fallible<()> {
    let binary = binary(options)?;
    let folder = folder.to_owned();
    let shell = tokio::task::spawn_blocking(move || Shell { binary, folder }.measure());
    shell.await??.into_report(report);
    Ok(())
}

fn binary(options: &Options) -> Fallible<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("claudemesh");
    let binary = options.binary.clone().unwrap_or(beside);
    if binary.exists() {
        Ok(binary)
    } else {
        Err(format!("{} does not exist: cargo build --release -p claudemesh-cli", binary.display()).into())
    }
}

struct Found {
    first: Vec<Duration>,
    again: Vec<Duration>,
    sends: Vec<Duration>,
    resident: Option<f64>,
}

impl Found {
    fn into_report(mut self, report: &mut Report) {
        report.at_most("cold start: first `up` to its link, p50", quantile(&mut self.first, 0.5), "ms", 100.0);
        report.plain("daemon start: `up` on a home that exists, p50", quantile(&mut self.again, 0.5), "ms");
        report.at_most("warm `send --wait accepted`, p50", quantile(&mut self.sends, 0.5), "ms", 30.0);
        report.plain("warm `send --wait accepted`, p90", quantile(&mut self.sends, 0.9), "ms");
        if let Some(resident) = self.resident {
            report.plain("daemon with embedded broker, idle", resident, "MiB");
        }
    }
}

struct Shell {
    binary: PathBuf,
    folder: PathBuf,
}

impl Shell {
    fn measure(&self) -> Fallible<Found> {
        let homes: Vec<PathBuf> = (0..STARTS).map(|n| self.folder.join(format!("shell-{n}"))).collect();
        let guest = self.folder.join("shell-guest");
        let found = self.with_homes(&homes, &guest);
        for home in homes.iter().chain([&guest]) {
            let _ = self.run(home, &["down", "--json"]);
        }
        found
    }

    fn with_homes(&self, homes: &[PathBuf], guest: &Path) -> Fallible<Found> {
        let up = ["up", "--name", "alice", "--listen", "127.0.0.1:0", "--json"];
        let (mut first, mut again, mut link) = (Vec::new(), Vec::new(), None);
        for home in homes {
            let (reply, took) = self.run(home, &up)?;
            first.push(took);
            self.run(home, &["down", "--json"])?;
            again.push(self.run(home, &["up", "--json"])?.1);
            link = reply["link"].as_str().map(str::to_owned);
        }
        let host = homes.last().ok_or("no home")?;
        let link = link.ok_or("`up` gave no link")?;
        self.run(guest, &["join", &link, "--name", "bob", "--json"])?;
        let send = ["send", "bob", "the build is green", "--wait", "accepted", "--json"];
        self.run(host, &send)?;
        let sends = (0..SENDS).map(|_| Ok(self.run(host, &send)?.1)).collect::<Fallible<_>>()?;
        std::thread::sleep(SETTLE);
        let (status, _) = self.run(host, &["status", "--json"])?;
        Ok(Found { first, again, sends, resident: status["pid"].as_u64().and_then(resident) })
    }

    /// Runs a verb; its JSON and how long the process took.
    fn run(&self, home: &Path, arguments: &[&str]) -> Fallible<(Value, Duration)> {
        let started = Instant::now();
        let mut command = Command::new(&self.binary);
        command.args(arguments).env("CLAUDEMESH_HOME", home).env_remove("CLAUDEMESH_SESSION").stdin(Stdio::null());
        let out = command.output()?;
        let took = started.elapsed();
        if !out.status.success() {
            return Err(format!("claudemesh {}: {}", arguments[0], String::from_utf8_lossy(&out.stderr)).into());
        }
        Ok((serde_json::from_slice(&out.stdout)?, took))
    }
}

/// Resident memory of a process in MiB, where the system tells.
fn resident(pid: u64) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}
