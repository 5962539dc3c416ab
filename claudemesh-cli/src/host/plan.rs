//! What is going to be done, in steps: to be shown, or carried out. Whatever can be refused is found out before the
//! first step.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use claudemesh_client::Error;
use serde::{Deserialize, Serialize};
use similar::TextDiff;

use super::file::{Found, unwritable};

/// One thing to do.
#[derive(Debug)]
pub(super) enum Step {
    /// Make a folder, for its owner only.
    Folder(PathBuf),
    /// Make a link to a folder.
    Link { at: PathBuf, to: PathBuf },
    /// Take a link of ours away.
    Unlink(PathBuf),
    /// Write a file of a user's, with a link to it followed; nothing: take it away.
    Content(Found, Option<Vec<u8>>),
    /// Lay a copy of a user's file beside it.
    Copy(Found, Vec<u8>),
    /// Write a file of our own.
    Own(Found, Vec<u8>),
    /// Take a file of our own away.
    Discard(PathBuf),
    /// Take a folder away if nothing is in it.
    Clear(PathBuf),
}

/// A step for a reader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The file, folder or link.
    pub(crate) path: String,
    /// `create`, `update` or `remove`.
    pub(crate) action: String,
    /// What changes in a file of the user's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) diff: Option<String>,
}

impl Step {
    /// For a reader. Our own files are not listed one by one.
    pub(super) fn change(&self) -> Option<Change> {
        let (path, action, diff) = match self {
            Self::Folder(_) | Self::Discard(_) | Self::Own(..) | Self::Clear(_) => return None,
            Self::Link { at, .. } => (at.as_path(), "create", None),
            Self::Copy(found, _) => (found.path(), "create", None),
            Self::Unlink(at) => (at.as_path(), "remove", None),
            Self::Content(found, None) => (found.path(), "remove", None),
            Self::Content(found, Some(after)) => {
                let action = if found.exists() { "update" } else { "create" };
                (found.path(), action, Some(diff(found.bytes(), after)))
            }
        };
        Some(Change { path: path.display().to_string(), action: action.into(), diff })
    }

    fn run(self) -> Result<(), Error> {
        match self {
            Self::Folder(path) => fs::DirBuilder::new().mode(0o700).create(&path).or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Ok(()),
                _ => Err(unwritable(&path, error)),
            }),
            Self::Link { at, to } => std::os::unix::fs::symlink(to, &at).map_err(|error| unwritable(&at, error)),
            Self::Unlink(path) | Self::Discard(path) => gone(fs::remove_file(&path), &path),
            Self::Content(found, Some(after)) => found.stage(&after)?.commit(),
            Self::Content(found, None) => found.remove(),
            Self::Copy(found, after) | Self::Own(found, after) => found.stage(&after)?.commit(),
            // Whatever else somebody put there stays, and the folder with it.
            Self::Clear(path) => fs::remove_dir(&path).or(Ok(())),
        }
    }
}

fn gone(result: io::Result<()>, path: &Path) -> Result<(), Error> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(path, error)),
        _ => Ok(()),
    }
}

/// Finds out whether the steps would be permitted. Nothing is changed.
///
/// # Errors
/// A file or folder cannot be written.
pub(super) fn check(steps: &[Step]) -> Result<(), Error> {
    for step in steps {
        match step {
            Step::Content(found, Some(after)) | Step::Copy(found, after) | Step::Own(found, after) => {
                if found.path().parent().is_some_and(Path::exists) {
                    drop(found.stage(after)?);
                } else {
                    writable(found.path())?;
                }
            }
            Step::Content(found, None) => drop(found.stage(found.bytes())?),
            Step::Folder(path) | Step::Link { at: path, .. } | Step::Unlink(path) | Step::Discard(path) => {
                writable(path)?;
            }
            Step::Clear(_) => {}
        }
    }
    Ok(())
}

/// Whether something can be made or removed at a path: asked of the nearest folder that is there.
fn writable(path: &Path) -> Result<(), Error> {
    let folder = path.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
        .map_err(|error| unwritable(path, error.into()))
}

/// Carries the steps out, in order.
///
/// # Errors
/// One cannot be done. Those before it are done.
pub(super) fn carry_out(steps: Vec<Step>) -> Result<(), Error> {
    check(&steps)?;
    steps.into_iter().try_for_each(Step::run)
}

fn diff(before: &[u8], after: &[u8]) -> String {
    let (before, after) = (String::from_utf8_lossy(before), String::from_utf8_lossy(after));
    TextDiff::from_lines(&before, &after).unified_diff().context_radius(1).to_string()
}
