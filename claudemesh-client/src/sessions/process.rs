//! Processes, told apart although their numbers are used again.

use serde::{Deserialize, Serialize};

/// A process: its number, and when it started where the system says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pid: u32,
    started: Option<u64>,
}

impl Process {
    /// The process that has this number now.
    pub(crate) fn now(pid: u32) -> Self {
        Self { pid, started: started(pid) }
    }

    #[cfg(test)]
    pub(super) const fn of(pid: u32, started: u64) -> Self {
        Self { pid, started: Some(started) }
    }

    /// Whether it runs still, and is no other of the same number.
    pub(crate) fn is_alive(&self) -> bool {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw) else { return false };
        let answers = !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH));
        let same = match (self.started, started(self.pid)) {
            (Some(then), Some(now)) => then == now,
            (Some(_), None) => cfg!(not(target_os = "linux")),
            (None, _) => true,
        };
        answers && same
    }
}

/// When a process started, in ticks since the system did. Zombies have ended.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives() {
        let own = Process::now(std::process::id());
        assert!(own.is_alive());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn another_process_of_the_same_number_is_not_it() {
        let own = Process::now(std::process::id());
        let before = Process { started: own.started.map(|started| started - 1), ..own };
        assert!(!before.is_alive());
    }

    #[test]
    fn an_ended_process_does_not_live() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let process = Process::now(child.id());
        child.wait().unwrap();
        assert!(!process.is_alive());
    }
}
