//! The home: the folders of one installation of claudemesh, its lock, and the place of its daemon's socket.
//!
//! Knows paths, permissions and who owns them. What lies in the files belongs to others.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// Longest path a Unix socket can have everywhere we run: macOS has 104 bytes with the final zero, Linux 108.
const SOCKET_PATH_MAX: usize = 103;
/// A log above this is put aside; one older log is kept.
const LOG_LIMIT: u64 = 4 * 1024 * 1024;
const SOCKET_NAME: &str = "daemon.sock";

/// The folders of one installation.
///
/// With `CLAUDEMESH_HOME` set everything lies below it; without, where the XDG base directories say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: Option<PathBuf>,
    config: PathBuf,
    data: PathBuf,
    state: PathBuf,
    run: PathBuf,
    lock: PathBuf,
    broker: PathBuf,
    runtime: Option<PathBuf>,
}

impl Home {
    /// The home that the environment names.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when neither `CLAUDEMESH_HOME` nor `HOME` says where.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
    }

    /// The home below this folder. A leading `~/` is the user's own folder.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when the path is empty or the user's folder is not known.
    pub fn at(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::below(path.as_ref(), |name| std::env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        if let Some(path) = variable("CLAUDEMESH_HOME") {
            return Self::below(Path::new(&path), variable);
        }
        // The XDG specification: a path that is not absolute is ignored.
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let user = absolute("HOME").or_else(std::env::home_dir);
        let base = |name: &str, fallback: &str| {
            absolute(name)
                .or_else(|| user.as_ref().map(|user| user.join(fallback)))
                .map(|path| path.join("claudemesh"))
                .ok_or_else(|| {
                    Error::new(ErrorKind::Usage, "there is no home folder to keep claudemesh's files in")
                        .with_hint("set CLAUDEMESH_HOME to a folder of your own")
                })
        };
        let data = base("XDG_DATA_HOME", ".local/share")?;
        let state = base("XDG_STATE_HOME", ".local/state")?;
        let runtime = absolute("XDG_RUNTIME_DIR").map(|path| path.join("claudemesh"));
        Ok(Self {
            root: None,
            config: base("XDG_CONFIG_HOME", ".config")?,
            run: runtime.clone().unwrap_or_else(|| state.join("run")),
            lock: data.join("lock"),
            broker: data.join("broker"),
            data,
            state,
            runtime,
        })
    }

    fn below(path: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let path = match path.strip_prefix("~") {
            Ok(rest) => variable("HOME")
                .map(PathBuf::from)
                .or_else(std::env::home_dir)
                .ok_or_else(|| Error::new(ErrorKind::Usage, "the home is given as ~ but there is no home folder"))?
                .join(rest),
            Err(_) => path.to_owned(),
        };
        let root = std::path::absolute(&path).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("{:?} is not a usable path", path.display())).with_source(error)
        })?;
        Ok(Self {
            config: root.join("config"),
            data: root.join("data"),
            state: root.clone(),
            run: root.join("run"),
            lock: root.join("lock"),
            broker: root.join("broker"),
            runtime: variable("XDG_RUNTIME_DIR").map(|path| PathBuf::from(path).join("claudemesh")),
            root: Some(root),
        })
    }

    /// The folder given by `CLAUDEMESH_HOME` or [`Home::at`]; `None` when the home is spread over the XDG folders.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Where the user's settings lie.
    #[must_use]
    pub fn config_dir(&self) -> &Path {
        &self.config
    }

    /// Where the store lies.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// Where the embedded broker keeps its own store and key. Created by whoever hosts it.
    #[must_use]
    pub fn broker_dir(&self) -> &Path {
        &self.broker
    }

    /// The daemon's log.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.state.join("daemon.log")
    }

    /// One path to name this home by in messages.
    #[must_use]
    pub fn display(&self) -> std::path::Display<'_> {
        self.root.as_ref().unwrap_or(&self.data).display()
    }

    /// Creates the folders, for the owner only.
    ///
    /// # Errors
    /// [`ErrorKind::Unwritable`] when they cannot be created or belong to another user.
    pub fn create(&self) -> Result<(), Error> {
        if let Some(root) = &self.root {
            private_dir(root, Care::Own)?;
        } else {
            private_dir(&self.state, Care::Private)?;
        }
        private_dir(&self.data, Care::Private)
    }

    /// Takes the home for this process, until the returned value is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when another process has it, [`ErrorKind::Unwritable`] when the home cannot be written.
    pub fn lock(&self, holder: Holder) -> Result<HomeLock, Error> {
        self.create()?;
        let file = private_file(&self.lock)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(self.locked()),
            Err(TryLockError::Error(error)) => return Err(unwritable(&self.lock, error)),
        }
        write_note(&file, &Note { pid: std::process::id(), holder, socket: None })
            .map_err(|error| unwritable(&self.lock, error))?;
        Ok(HomeLock { held: Arc::new(Held { file, home: self.clone(), holder }) })
    }

    /// Whether another process holds this home now: then the error that says so.
    pub(crate) fn held(&self) -> Option<Error> {
        // A home without a lock file was never held. The lock is given back at once, when the file is closed.
        let file = File::open(&self.lock).ok()?;
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)).then(|| self.locked())
    }

    fn locked(&self) -> Error {
        let (who, hint) = match self.note() {
            Some(Note { pid, holder: Holder::Program, .. }) => (
                format!(" (a program that embeds claudemesh, process {pid})"),
                "end that program, or give this one a home of its own with CLAUDEMESH_HOME",
            ),
            Some(Note { pid, .. }) => (format!(" (process {pid})"), "stop the daemon with `claudemesh down`"),
            None => (String::new(), "end that process, or set CLAUDEMESH_HOME to a home of your own"),
        };
        Error::new(ErrorKind::Locked, format!("another process holds the home {}{who}", self.display())).with_hint(hint)
    }

    /// Who held the lock last, by its own word. Never proof of anything: the file outlives its writer.
    pub(crate) fn last_holder(&self) -> Option<Holder> {
        self.note().map(|note| note.holder)
    }

    /// Which process held the lock last, by its own word.
    pub(crate) fn last_pid(&self) -> Option<u32> {
        self.note().map(|note| note.pid)
    }

    fn note(&self) -> Option<Note> {
        let mut text = Vec::new();
        File::open(&self.lock).ok()?.take(4096).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The socket on which a daemon of this home would answer.
    ///
    /// The daemon's own note comes first: its environment may have named another runtime folder than ours does.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] when there is none, [`ErrorKind::Refused`] when what is there belongs to another user.
    pub(crate) fn find_socket(&self) -> Result<PathBuf, Error> {
        let path = match self.note().and_then(|note| note.socket) {
            Some(path) => path,
            None => self.socket_path(),
        };
        let Ok(metadata) = path.symlink_metadata() else {
            return Err(no_daemon(&path));
        };
        if !metadata.file_type().is_socket() {
            return Err(no_daemon(&path));
        }
        if metadata.uid() != own_uid() {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("the socket {} belongs to another user", path.display()),
            ));
        }
        Ok(path)
    }

    /// The socket for a daemon to listen on; its folder exists, is ours, and nobody else can enter it.
    #[cfg_attr(not(feature = "daemon"), allow(dead_code, reason = "only a daemon makes a socket"))]
    pub(crate) fn prepare_socket(&self) -> Result<PathBuf, Error> {
        let path = self.socket_path();
        let folder = path.parent().unwrap_or(&self.run);
        // Below the home the user may have put links on purpose; in a shared folder a link is an attack.
        private_dir(folder, if folder == self.run { Care::Private } else { Care::Secluded })?;
        Ok(path)
    }

    fn socket_path(&self) -> PathBuf {
        let natural = self.run.join(SOCKET_NAME);
        if natural.as_os_str().len() <= SOCKET_PATH_MAX {
            return natural;
        }
        let hash = claudemesh_core::hash::sha256(natural.as_os_str().as_bytes());
        let name: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).chain([".sock".into()]).collect();
        self.runtime
            .as_ref()
            .map(|folder| folder.join(&name))
            .filter(|path| path.as_os_str().len() <= SOCKET_PATH_MAX)
            .unwrap_or_else(|| PathBuf::from(format!("/tmp/claudemesh-{}", own_uid())).join(name))
    }

    /// Opens the daemon's log to append to it.
    #[cfg_attr(not(feature = "daemon"), allow(dead_code, reason = "only a daemon has a log"))]
    pub(crate) fn open_log(&self) -> Result<File, Error> {
        self.create()?;
        self.trim_log();
        private_file(&self.log_file())
    }

    /// Keeps the log small. It is copied and emptied in place, since a daemon has it open as its error output.
    #[cfg_attr(not(feature = "daemon"), allow(dead_code, reason = "only a daemon has a log"))]
    pub(crate) fn trim_log(&self) {
        let log = self.log_file();
        if log.metadata().is_ok_and(|metadata| metadata.len() > LOG_LIMIT) {
            let kept = std::fs::copy(&log, self.state.join("daemon.log.1"));
            let emptied = OpenOptions::new().write(true).truncate(true).open(&log);
            if let Some(error) = kept.err().or(emptied.err()) {
                tracing::warn!(%error, "the log could not be put aside");
            }
        }
    }
}

/// What kind of process takes a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Holder {
    /// A daemon, which will answer on the home's socket.
    Daemon,
    /// A program that embeds the client, to which nobody can attach.
    Program,
}

/// The home is this process's while any clone of this lives.
#[derive(Clone, Debug)]
pub struct HomeLock {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    file: File,
    home: Home,
    holder: Holder,
}

impl HomeLock {
    /// The home that is held.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.held.home
    }

    /// What it was taken for.
    #[must_use]
    pub fn holder(&self) -> Holder {
        self.held.holder
    }

    /// Notes where the holder answers, for those who look for it.
    #[cfg_attr(not(feature = "daemon"), allow(dead_code, reason = "only a daemon answers"))]
    pub(crate) fn note_socket(&self, socket: &Path) -> Result<(), Error> {
        let note = Note { pid: std::process::id(), holder: self.held.holder, socket: Some(socket.to_owned()) };
        write_note(&self.held.file, &note).map_err(|error| unwritable(&self.held.home.lock, error))
    }
}

/// What the lock file says of its holder. A hint for messages and for finding the socket; the lock itself is the
/// operating system's.
#[derive(Serialize, Deserialize)]
struct Note {
    pid: u32,
    holder: Holder,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    socket: Option<PathBuf>,
}

fn write_note(mut file: &File, note: &Note) -> io::Result<()> {
    let mut text = serde_json::to_vec(note)?;
    text.push(b'\n');
    file.set_len(0)?;
    file.write_all(&text)
}

/// What a folder that is there already must be. Its mode is never changed: it may be the user's own for other ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    /// Ours.
    Own,
    /// Ours, and nobody else can write to it.
    Private,
    /// Ours, no link, and nobody else can enter it: it lies where others write too.
    Secluded,
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Creates a folder for the owner only, or checks the one that is there.
fn private_dir(path: &Path, care: Care) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| unwritable(path, error))?;
    let metadata = if care == Care::Secluded { path.symlink_metadata() } else { path.metadata() };
    let metadata = metadata.map_err(|error| unwritable(path, error))?;
    let foreign = match care {
        Care::Own => 0,
        Care::Private => 0o022,
        Care::Secluded => 0o077,
    };
    let refused = |what: &str, hint: String| {
        Err(Error::new(ErrorKind::Unwritable, format!("{} {what}", path.display())).with_hint(hint))
    };
    if !metadata.is_dir() || metadata.uid() != own_uid() {
        return refused(
            "is not a folder that belongs to this user",
            "run as the user who owns it, or set CLAUDEMESH_HOME to a folder of your own".into(),
        );
    }
    if metadata.mode() & foreign != 0 {
        return refused("is open to other users", format!("close it with `chmod 700 {}`", path.display()));
    }
    Ok(())
}

/// Opens a file for the owner only, to read and append.
fn private_file(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| unwritable(path, error))
}

/// The error for a path that cannot be written.
pub(crate) fn unwritable(path: &Path, error: io::Error) -> Error {
    let (why, hint) = match error.kind() {
        io::ErrorKind::PermissionDenied => ("permission denied", "check who owns it, or set CLAUDEMESH_HOME"),
        io::ErrorKind::ReadOnlyFilesystem => ("the file system is read-only", "set CLAUDEMESH_HOME to another place"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ("the disk is full", "free some space"),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            ("a file is where a folder should be", "move it away, or set CLAUDEMESH_HOME")
        }
        _ => ("the operating system refuses", "set CLAUDEMESH_HOME to another place"),
    };
    Error::new(ErrorKind::Unwritable, format!("cannot write {}: {why}", path.display()))
        .with_hint(hint)
        .with_source(error)
}

/// The error when nobody answers on a socket.
pub(crate) fn no_daemon(socket: &Path) -> Error {
    Error::new(ErrorKind::Unreachable, format!("no daemon answers on {}", socket.display()))
        .with_hint("start it with `claudemesh up`")
}

#[cfg(test)]
mod tests;
