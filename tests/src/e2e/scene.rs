//! A temporary folder with a broker and people in it.

use std::path::{Path, PathBuf};

use super::person::text_of;
use super::{Broker, Person};

/// Where one test plays.
#[derive(Debug)]
pub struct Scene {
    folder: tempfile::TempDir,
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

impl Scene {
    /// An empty folder.
    ///
    /// # Panics
    /// None can be made.
    #[must_use]
    pub fn new() -> Self {
        // Short: a Unix socket's path has room for a hundred bytes.
        Self { folder: tempfile::Builder::new().prefix("cm-").tempdir().expect("a folder can be made") }
    }

    /// An empty folder in memory, where there is one: for what dies with processes and not with the power, and has much to
    /// write.
    ///
    /// # Panics
    /// None can be made.
    #[must_use]
    pub fn in_memory() -> Self {
        let folder = tempfile::Builder::new().prefix("cm-").tempdir_in("/dev/shm");
        folder.map_or_else(|_| Self::new(), |folder| Self { folder })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A broker on its own.
    #[must_use]
    pub fn broker(&self) -> Broker {
        Broker::start(&self.join("broker"))
    }

    /// A person with an empty home.
    #[must_use]
    pub fn person(&self, name: &str) -> Person {
        Person::new(name, self.join(name))
    }

    /// A person who has founded a mesh on a broker.
    #[must_use]
    pub fn founder(&self, name: &str, broker: &Broker) -> Person {
        let founder = self.person(name);
        founder.ok(&["up", "--name", name, "--broker", &broker.url()]);
        founder
    }

    /// A person who has joined by an invite of `host`, each knowing the other.
    #[must_use]
    pub fn guest(&self, name: &str, host: &Person) -> Person {
        let guest = self.person(name);
        guest.ok(&["join", &link(host), "--name", name]);
        host.knows(name);
        guest
    }

    /// Alice, who founded, and Bob, who joined.
    #[must_use]
    pub fn pair(&self, broker: &Broker) -> (Person, Person) {
        let alice = self.founder("alice", broker);
        let bob = self.guest("bob", &alice);
        (alice, bob)
    }
}

/// A fresh link of one use.
///
/// # Panics
/// None can be made.
#[must_use]
pub fn link(host: &Person) -> String {
    text_of(&host.ok(&["invite"]), "/link")
}
