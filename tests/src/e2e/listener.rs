//! `claudemesh listen`, and the other verbs that print what comes, as a process.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use super::{PATIENCE, Person, until};

/// A listener, killed when dropped.
#[derive(Debug)]
pub struct Listener {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Listener {
    /// Starts one.
    ///
    /// # Panics
    /// It does not run.
    #[must_use]
    pub fn start(person: &Person, options: &[&str]) -> Self {
        Self::following(person, &[&["listen"], options].concat())
    }

    /// Starts another verb that prints a line of JSON for everything that comes.
    ///
    /// # Panics
    /// It does not run.
    #[must_use]
    pub fn following(person: &Person, verb: &[&str]) -> Self {
        let mut child = person.command(&[verb, &["--json"]].concat()).spawn().expect("the binary runs");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (found, lines) = mpsc::channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).all(|line| found.send(line).is_ok()));
        Self { child, lines }
    }

    /// Starts one and waits until it hears `from`, who writes until then.
    ///
    /// # Panics
    /// It hears nothing.
    #[must_use]
    pub fn hearing(person: &Person, from: &Person, options: &[&str]) -> Self {
        let listener = Self::start(person, options);
        until("the listener hears", || {
            from.send(person.name(), "do you hear", &["--wait", "delivered"]);
            listener.lines.recv_timeout(Duration::from_millis(200)).ok()
        });
        listener
    }

    /// The next event, as one line of JSON.
    ///
    /// # Panics
    /// None comes.
    #[must_use]
    pub fn next(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("an event comes");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"))
    }

    /// The next event that fits.
    ///
    /// # Panics
    /// None comes.
    pub fn find(&self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.next();
            if fits(&event) {
                return event;
            }
        }
    }

    /// The message with this body.
    ///
    /// # Panics
    /// It does not come.
    pub fn message(&self, body: &str) -> Value {
        self.find(|event| event["type"] == "message" && event["message"]["body"] == body)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
