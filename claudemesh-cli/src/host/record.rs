//! What was changed for claudemesh in other programs' folders, so that it can be undone exactly.

use std::path::{Path, PathBuf};

use claudemesh_client::{Error, ErrorKind, Home};
use claudemesh_core::hash::sha256;
use serde::{Deserialize, Serialize};

/// The folder of the home for what concerns Claude Code.
pub(crate) fn folder(home: &Home) -> PathBuf {
    home.data_dir().join("claude-code")
}

/// The plugin as it was written for this home.
pub(crate) fn plugin(home: &Home) -> PathBuf {
    folder(home).join("plugin")
}

/// Where the last status line is kept.
pub(crate) fn status_line(home: &Home) -> PathBuf {
    folder(home).join("statusline.json")
}

/// Where the record is kept.
pub(super) fn file(home: &Home) -> PathBuf {
    folder(home).join("install.json")
}

/// The record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    /// Files written to the plugin's folder.
    pub(super) files: Vec<String>,
    /// Where it was installed.
    pub(super) places: Vec<Placed>,
}

/// One folder of the host that was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Placed {
    /// The folder with the host's settings.
    pub(super) folder: PathBuf,
    /// Folders that were made, the outermost first.
    #[serde(default)]
    pub(super) made: Vec<PathBuf>,
    /// The settings, when they were changed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) settings: Option<Edited>,
}

/// A file of settings that was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Edited {
    /// The file, behind all links.
    pub(super) file: PathBuf,
    /// A copy from before, beside it; none when there was no file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) backup: Option<PathBuf>,
    /// Hash of what stood in it before.
    pub(super) before: String,
    /// Hash of what was written.
    pub(super) after: String,
    /// Objects and lists that were made for it, the innermost first.
    #[serde(default)]
    pub(super) made: Vec<Vec<String>>,
    /// What was put in.
    #[serde(default)]
    pub(super) wishes: Wishes,
}

/// What a user may have in the settings besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Wishes {
    /// The status line.
    pub(crate) status_line: bool,
    /// The mesh's tools run without a question.
    pub(crate) allow_tools: bool,
}

impl Record {
    /// Reads what was written last.
    ///
    /// # Errors
    /// It cannot be read: then nobody knows what is to be undone.
    pub(super) fn read(home: &Home) -> Result<Self, Error> {
        let path = file(home);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(damaged(&path).with_source(error)),
        };
        serde_json::from_slice(&text).map_err(|error| damaged(&path).with_source(error))
    }

    /// What was changed there.
    pub(super) fn place(&self, folder: &Path) -> Option<&Placed> {
        self.places.iter().find(|placed| placed.folder == folder)
    }
}

fn damaged(path: &Path) -> Error {
    let message = format!("the record of what was installed, {}, cannot be read", path.display());
    Error::new(ErrorKind::Corrupt, message).with_hint("move it away; then `claudemesh install` writes a new one")
}

/// The hash of a file's content, as the record has it.
pub(super) fn hash(bytes: &[u8]) -> String {
    sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
