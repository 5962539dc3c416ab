//! One person of the demonstration: a home, and the binary called in it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};
use crate::process::quoted;

use super::PATIENCE;

pub(super) struct Person {
    name: &'static str,
    binary: PathBuf,
    home: PathBuf,
    folder: PathBuf,
}

impl Person {
    /// A person whose home lies below `folder`.
    pub(super) fn new(name: &'static str, binary: &Path, folder: &Path) -> Self {
        Self { name, binary: binary.to_owned(), home: folder.join(name), folder: folder.to_owned() }
    }

    /// The folder of everything this person's claudemesh keeps.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Runs a command for all to see and returns what it printed.
    pub(super) fn says(&self, arguments: &[&str]) -> Outcome<String> {
        let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        println!("\n{}$ claudemesh {}", self.name, words.join(" "));
        let output = self.asks(arguments)?;
        println!("{}", output.trim_end());
        Ok(output)
    }

    /// Runs a command unseen and returns what it printed.
    pub(super) fn asks(&self, arguments: &[&str]) -> Outcome<String> {
        let failed = |what: String| Failure::new(format!("{}: `claudemesh {}` {what}", self.name, arguments[0]));
        // Files, not pipes: a daemon started by the command must not keep us waiting by holding its output open.
        let (stdout, stderr) =
            (self.folder.join(format!("{}.out", self.name)), self.folder.join(format!("{}.err", self.name)));
        let create = |path: &Path| File::create(path).map_err(|error| failed(format!("has no output file: {error}")));
        let mut child = Command::new(&self.binary)
            .args(arguments)
            .env("CLAUDEMESH_HOME", &self.home)
            .env("NO_COLOR", "1")
            .env_remove("CLAUDEMESH_SESSION")
            .stdin(Stdio::null())
            .stdout(create(&stdout)?)
            .stderr(create(&stderr)?)
            .spawn()
            .map_err(|error| failed(format!("cannot run: {error}")))?;
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|error| failed(error.to_string()))? {
                break status;
            }
            if Instant::now() > deadline {
                // Nothing more can be done for a child that cannot even be killed.
                let _ = child.kill().and_then(|()| child.wait());
                return Err(failed(format!("did not end within {} s", PATIENCE.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let text = |path: &Path| std::fs::read_to_string(path).map_err(|error| failed(error.to_string()));
        if status.success() {
            text(&stdout)
        } else {
            Err(failed(format!("ended with {status}\n{}{}", text(&stdout)?, text(&stderr)?)))
        }
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if self.home.exists()
            && let Err(failure) = self.asks(&["down"])
        {
            eprintln!("{failure}");
        }
    }
}
