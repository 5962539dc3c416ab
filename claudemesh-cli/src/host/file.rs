//! A file of another program: read whole, replaced whole or not at all, and given back as it was.
//!
//! Links are followed, so that the file they lead to changes and the link stays. Mode and owner stay, too.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use claudemesh_client::{Error, ErrorKind};
use tempfile::NamedTempFile;

/// More than any settings have.
const LIMIT: u64 = 16 * 1024 * 1024;
/// Links that may lead to each other before it counts as a circle.
const LINKS: usize = 40;
/// What only its owner reads.
const PRIVATE: u32 = 0o600;

/// A file as it was when it was read, or a place where there is none.
#[derive(Debug)]
pub(crate) struct Found {
    /// The file itself, behind all links.
    path: PathBuf,
    /// What stood in it; nothing when it was not there.
    bytes: Option<Vec<u8>>,
    metadata: Option<Metadata>,
}

impl Found {
    /// Reads.
    ///
    /// # Errors
    /// It cannot be read, is no file, or is far too large.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let path = behind_links(path)?;
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, bytes: None, metadata: None });
            }
            Err(error) => return Err(unreadable(&path, error)),
        };
        if !metadata.is_file() {
            return Err(Error::new(ErrorKind::Conflict, format!("{} is no file", path.display()))
                .with_hint("move it away, and run the command again"));
        }
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(|error| unreadable(&path, error))?;
        file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&path, error))?;
        if bytes.len() as u64 > LIMIT {
            return Err(Error::new(ErrorKind::Refused, format!("{} is over 16 MiB", path.display()))
                .with_hint("such a file is not changed by a program; look what is in it"));
        }
        Ok(Self { path, bytes: Some(bytes), metadata: Some(metadata) })
    }

    /// The file itself, behind all links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What stood in it; empty when it was not there.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }

    /// Whether it was there.
    pub(crate) const fn exists(&self) -> bool {
        self.bytes.is_some()
    }

    /// Prepares a new content beside the file: everything that can fail, fails here. The folder has to be there.
    ///
    /// # Errors
    /// The file is read-only or another user's, or its folder cannot be written.
    pub(crate) fn stage(&self, bytes: &[u8]) -> Result<Staged<'_>, Error> {
        self.permits()?;
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let write = || {
            let mut new = tempfile::Builder::new().prefix(".claudemesh-").tempfile_in(folder)?;
            new.write_all(bytes)?;
            let mode = self.metadata.as_ref().map_or(PRIVATE, |metadata| metadata.mode() & 0o7777);
            new.as_file().set_permissions(Permissions::from_mode(mode))?;
            if let Some(metadata) = &self.metadata {
                let made = new.as_file().metadata()?;
                if (made.uid(), made.gid()) != (metadata.uid(), metadata.gid()) {
                    std::os::unix::fs::fchown(new.as_file(), Some(metadata.uid()), Some(metadata.gid()))?;
                }
            }
            new.as_file().sync_all()?;
            Ok(new)
        };
        let new = write().map_err(|error| unwritable(&self.path, error))?;
        Ok(Staged { found: self, new })
    }

    /// Takes the file away.
    ///
    /// # Errors
    /// It is read-only, has changed, or cannot be removed.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        self.permits()?;
        self.unchanged()?;
        fs::remove_file(&self.path).map_err(|error| unwritable(&self.path, error))
    }

    /// Whether its owner lets it be written. Asked for also where nobody is refused anything.
    fn permits(&self) -> Result<(), Error> {
        let Some(metadata) = &self.metadata else { return Ok(()) };
        if metadata.permissions().readonly() {
            let message = format!("{} is read-only; nothing was changed", self.path.display());
            let hint = format!("permit it with `chmod u+w {}`, and run the command again", self.path.display());
            return Err(Error::new(ErrorKind::Unwritable, message).with_hint(hint));
        }
        OpenOptions::new().write(true).open(&self.path).map(drop).map_err(|error| unwritable(&self.path, error))
    }

    fn unchanged(&self) -> Result<(), Error> {
        let now = match fs::read(&self.path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unreadable(&self.path, error)),
        };
        if now == self.bytes {
            return Ok(());
        }
        let message = format!("another program has just changed {}; nothing was changed here", self.path.display());
        Err(Error::new(ErrorKind::Conflict, message).with_hint("run the command again"))
    }
}

/// A new content that lies beside its file. Dropped, it goes, and the file stays as it is.
#[derive(Debug)]
pub(crate) struct Staged<'a> {
    found: &'a Found,
    new: NamedTempFile,
}

impl Staged<'_> {
    /// Puts it in the file's place, at once and whole.
    ///
    /// # Errors
    /// The file was changed since it was read, or the file system refuses.
    pub(crate) fn commit(self) -> Result<(), Error> {
        self.found.unchanged()?;
        let path = &self.found.path;
        self.new.persist(path).map_err(|error| unwritable(path, error.error))?;
        let folder = path.parent().and_then(|folder| File::open(folder).ok());
        // The change is made; without this it may only be lost with the power.
        folder.map_or(Ok(()), |folder| folder.sync_all()).or(Ok(()))
    }
}

/// Follows links by hand, because the last one may lead to a place where no file is yet.
fn behind_links(path: &Path) -> Result<PathBuf, Error> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            // Not a link, or nothing there.
            Err(_) => {
                return Ok(match (path.parent().map(Path::canonicalize), path.file_name()) {
                    (Some(Ok(folder)), Some(name)) => folder.join(name),
                    _ => path,
                });
            }
        }
    }
    Err(Error::new(ErrorKind::Unwritable, format!("{} is a circle of links", path.display()))
        .with_hint("mend the link, and run the command again"))
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Unwritable, format!("{} cannot be read", path.display()))
        .with_hint("check who owns it and its permissions, and run the command again")
        .with_source(error)
}

pub(crate) fn unwritable(path: &Path, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "it lies on a read-only file system; change it where it can be changed",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full; free some space",
        _ => "check who owns it and its permissions, and run the command again",
    };
    Error::new(ErrorKind::Unwritable, format!("{} cannot be written; it stays as it is", path.display()))
        .with_hint(hint)
        .with_source(error)
}

#[cfg(test)]
mod tests;
