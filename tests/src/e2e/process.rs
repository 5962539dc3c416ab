//! Processes by the home in their environment, and what else the operating system lends.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::process::{Pid, Signal, kill_process};

/// The binary of this build, beside the test's own folder.
///
/// # Panics
/// It is not built: `cargo xtask test` builds it first.
#[must_use]
pub fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("a test has a path");
    let folder = own.parent().and_then(Path::parent).expect("a test lies in target/PROFILE/deps");
    let binary = folder.join("claudemesh");
    assert!(binary.exists(), "{} is missing: `cargo build -p claudemesh-cli` makes it", binary.display());
    binary
}

/// An address nobody listens on, below the ports the system gives to outgoing connections: it stays free while a broker
/// is down.
///
/// # Panics
/// There is none.
#[must_use]
pub fn free_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let base = std::process::id().wrapping_mul(97);
    for _ in 0..20_000 {
        let port = 10_000 + base.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let address = format!("127.0.0.1:{port}");
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
    panic!("no port is free");
}

/// A fresh message id.
#[must_use]
pub fn uuid() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("0198c0de-0000-7000-8000-{:04x}{:08x}", std::process::id() & 0xffff, number & 0xffff_ffff)
}

/// Living processes whose environment names this home; only daemons, or all.
pub(super) fn of_home(home: &Path, daemons: bool) -> Vec<Pid> {
    let wanted = format!("CLAUDEMESH_HOME={}", home.display()).into_bytes();
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            read("environ").split(|byte| *byte == 0).any(|variable| variable == wanted)
                && (!daemons || read("cmdline").split(|byte| *byte == 0).nth(1) == Some(b"daemon"))
        })
        .filter_map(Pid::from_raw)
        .collect()
}

/// Kills them and waits until they are gone.
pub(super) fn kill_of_home(home: &Path, daemons: bool) -> usize {
    let mut killed = std::collections::BTreeSet::new();
    loop {
        let pids = of_home(home, daemons);
        if pids.is_empty() {
            return killed.len();
        }
        for pid in pids {
            let _ = kill_process(pid, Signal::KILL);
            killed.insert(pid.as_raw_pid());
        }
        std::thread::yield_now();
    }
}
