//! One person: a home, and the binary called in it.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Mount, PATIENCE, binary, process, until};

/// What the environment of a test may say, and is not for those in it.
const INHERITED: [&str; 9] = [
    "CLAUDEMESH_SESSION",
    "CLAUDEMESH_LOG",
    "XDG_RUNTIME_DIR",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_CODE_MESSAGING_SOCKET",
    "CLAUDE_CODE_MESSAGING_TOKEN",
    "CLAUDE_PID",
    "CLAUDE_PROJECT_DIR",
    "CLAUDE_ENV_FILE",
];

/// A person. Everything that runs in the home is killed when the person goes.
#[derive(Debug)]
pub struct Person {
    name: String,
    home: PathBuf,
    mount: Option<Arc<Mount>>,
    variables: Vec<(String, OsString)>,
}

impl Person {
    pub(super) fn new(name: &str, home: PathBuf) -> Self {
        Self { name: name.to_owned(), home, mount: None, variables: Vec::new() }
    }

    /// Puts everything this person runs into another view of the file system.
    #[must_use]
    pub fn within(mut self, mount: &Arc<Mount>) -> Self {
        self.mount = Some(mount.clone());
        self
    }

    /// Puts a variable into the environment of everything this person runs.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The home.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The binary in this home.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = match &self.mount {
            Some(mount) => mount.enter(&binary()),
            None => Command::new(binary()),
        };
        command.args(args).env("CLAUDEMESH_HOME", &self.home).env("USER", &self.name);
        for inherited in INHERITED {
            command.env_remove(inherited);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command line.
    ///
    /// # Panics
    /// It does not run.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, None)
    }

    /// Runs a command line with this on standard input.
    ///
    /// # Panics
    /// It does not run.
    #[must_use]
    pub fn run_with(&self, args: &[&str], input: Option<&[u8]>) -> Ran {
        let mut command = self.command(args);
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        Ran::of(&format!("{}: {args:?}", self.name), &mut command, input)
    }

    /// Runs a command line that must succeed and returns its JSON.
    ///
    /// # Panics
    /// It fails.
    pub fn ok(&self, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).ok()
    }

    /// Runs a command line that must fail with this exit code and error code, and returns the error.
    ///
    /// # Panics
    /// It does not.
    pub fn fails(&self, args: &[&str], exit: i32, code: &str) -> Value {
        self.run(&[args, &["--json"]].concat()).fails(exit, code)
    }

    /// Sends, and returns the message's id.
    ///
    /// # Panics
    /// It fails.
    pub fn send(&self, to: &str, text: &str, options: &[&str]) -> String {
        text_of(&self.ok(&[&["send", to, text], options].concat()), "/id")
    }

    /// Bodies in the inbox, read or not; nothing is marked.
    ///
    /// # Panics
    /// It fails.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        bodies(&self.ok(&["inbox", "--peek", "--limit", "1000"]))
    }

    /// Reads messages that were not read until there are this many.
    ///
    /// # Panics
    /// They do not come.
    pub fn receive(&self, count: usize) -> Vec<Value> {
        let mut messages = Vec::new();
        until(&format!("{} receives {count} messages", self.name), || {
            let inbox = self.ok(&["inbox", "--unread", "--wait", "5", "--limit", "1000"]);
            messages.extend(inbox["messages"].as_array().expect("a list").iter().cloned());
            (messages.len() >= count).then_some(())
        });
        assert_eq!(messages.len(), count, "{messages:?}");
        messages
    }

    /// State of a message sent from here.
    ///
    /// # Panics
    /// It is not known.
    #[must_use]
    pub fn state(&self, id: &str) -> String {
        self.recipient(id, "state")
    }

    /// What is known of the first recipient of a message sent from here: a text of this name.
    ///
    /// # Panics
    /// It is not known.
    #[must_use]
    pub fn recipient(&self, id: &str, what: &str) -> String {
        text_of(&self.ok(&["message", "status", id]), &format!("/recipients/0/{what}"))
    }

    /// Waits until a message sent from here is in this state.
    ///
    /// # Panics
    /// It does not get there.
    pub fn reaches(&self, id: &str, state: &str) {
        until(&format!("{id} is {state}"), || (self.state(id) == state).then_some(()));
    }

    /// Waits until a peer of this name is known.
    ///
    /// # Panics
    /// It does not become known.
    pub fn knows(&self, name: &str) {
        until(&format!("{} knows {name}", self.name), || {
            let peers = self.ok(&["peers", "--all"]);
            peers["peers"].as_array()?.iter().any(|peer| peer["name"] == name).then_some(())
        });
    }

    /// Waits until the broker is connected, or is not.
    ///
    /// # Panics
    /// It does not come about.
    pub fn is_connected(&self, connected: bool) {
        until(&format!("{} connected: {connected}", self.name), || {
            (self.ok(&["whoami"])["connected"] == connected).then_some(())
        });
    }

    /// Kills the daemon, as a power cut would; how many there were.
    #[must_use]
    pub fn kill(&self) -> usize {
        process::kill_of_home(&self.home, true)
    }

    /// How many daemons run in this home.
    #[must_use]
    pub fn daemons(&self) -> usize {
        process::of_home(&self.home, true).len()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        process::kill_of_home(&self.home, false);
        let log = std::fs::read_to_string(self.home.join("daemon.log")).unwrap_or_default();
        no_bug(&log);
    }
}

/// A panic of the product fails the test, also where nobody noticed it.
pub(super) fn no_bug(log: &str) {
    assert!(std::thread::panicking() || !log.contains("this is a bug"), "{log}");
}

/// A string of a JSON result.
///
/// # Panics
/// There is none at that place.
#[must_use]
pub fn text_of(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} in {value}")).to_owned()
}

fn bodies(inbox: &Value) -> Vec<String> {
    inbox["messages"].as_array().expect("a list").iter().map(|message| text_of(message, "/body")).collect()
}

/// A command line that has run.
#[derive(Clone, Debug)]
pub struct Ran {
    line: String,
    /// Exit code; none after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Runs a program to its end.
    pub(super) fn of(line: &str, command: &mut Command, input: Option<&[u8]>) -> Self {
        let mut child = command.spawn().expect("the binary runs");
        let pid = Pid::from_child(&child);
        if let Some(input) = input {
            // A program that refuses early does not read everything.
            let _ = child.stdin.take().expect("it was piped").write_all(input);
        }
        let (done, ended) = mpsc::channel::<()>();
        let watchdog = std::thread::spawn(move || {
            let stuck = ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
            if stuck {
                let _ = kill_process(pid, Signal::KILL);
            }
            stuck
        });
        let output = child.wait_with_output().expect("a child ends");
        drop(done);
        let stuck = watchdog.join().expect("it only waits");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let ran = Self {
            line: line.to_owned(),
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        };
        assert!(!stuck, "it hangs: {ran:?}");
        ran
    }

    /// The JSON of a success.
    ///
    /// # Panics
    /// It was none.
    pub fn ok(&self) -> Value {
        assert_eq!(self.code, Some(0), "{} → {}", self.line, self.err);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{}: {error} in {}", self.line, self.out))
    }

    /// The error of a failure with this exit code and error code: JSON on standard error, nothing on standard output.
    ///
    /// # Panics
    /// It was another one, or none.
    pub fn fails(&self, exit: i32, code: &str) -> Value {
        let place = format!("{} → {}{}", self.line, self.out, self.err);
        assert_eq!(self.code, Some(exit), "{place}");
        assert_eq!(self.out, "", "{place}");
        let error: Value = serde_json::from_str(&self.err).unwrap_or_else(|error| panic!("{error}: {place}"));
        assert_eq!(error["error"]["code"], code, "{place}");
        for part in ["message", "hint"] {
            assert!(error["error"][part].as_str().is_some_and(|text| !text.is_empty()), "no {part}: {place}");
        }
        error
    }
}
