//! Claude Code on this machine: where it keeps its settings, which binary it is, and what that version can do.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use claudemesh_client::{Error, ErrorKind};

/// The name of its program.
pub(crate) const PROGRAM: &str = "claude";
/// The oldest version in which the plugin is known to work.
pub(crate) const OLDEST: Version = Version(2, 1, 197);
/// The oldest version in which messages reach a session while it works, with no flag and no login.
pub(crate) const SOCKET: Version = Version(2, 1, 300);
/// How long the program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// A version as the program says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u32, u32, u32);

impl Version {
    /// The first version in a line such as `2.1.329 (Claude Code)`.
    pub(crate) fn find(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(|word| {
            let mut parts = word.trim_start_matches('v').split('.');
            let mut number = || parts.next()?.parse().ok();
            Some(Self(number()?, number()?, number()?))
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(major, minor, patch) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// Where it keeps what belongs to this user.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    folder: PathBuf,
}

impl Place {
    /// The folder that the environment names.
    ///
    /// # Errors
    /// Neither `CLAUDE_CONFIG_DIR` nor `HOME` says where.
    pub(crate) fn from_env() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let named = variable("CLAUDE_CONFIG_DIR").map(PathBuf::from);
        let folder = named.or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".claude")));
        let folder = folder.and_then(|folder| std::path::absolute(folder).ok());
        folder.map(|folder| Self { folder }).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "there is no home folder in which Claude Code would keep its settings")
                .with_hint("set HOME, or CLAUDE_CONFIG_DIR to the folder it uses")
        })
    }

    /// A folder.
    #[cfg(test)]
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The user's settings.
    pub(crate) fn settings(&self) -> PathBuf {
        self.folder.join("settings.json")
    }

    /// The folder it makes for data of the plugin.
    pub(crate) fn plugin_data(&self) -> PathBuf {
        self.folder.join("plugins/data/claudemesh-skills-dir")
    }

    /// Where it looks for skills, and for plugins that are just there.
    pub(crate) fn skills(&self) -> PathBuf {
        self.folder.join("skills")
    }
}

/// Its program.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    /// Where.
    pub(crate) path: PathBuf,
    /// Its version, when it says one.
    pub(crate) version: Option<Version>,
}

impl Binary {
    /// The program on the search path, asked for its version; `None` when there is none.
    pub(crate) async fn find() -> Option<Self> {
        let path = which(PROGRAM)?;
        let version = version_of(&path).await;
        Some(Self { path, version })
    }
}

async fn version_of(path: &Path) -> Option<Version> {
    let mut command = tokio::process::Command::new(path);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    Version::find(&String::from_utf8_lossy(&output.stdout))
}

/// The program of this name on the search path.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::var_os("PATH")?;
    let runs = |path: &PathBuf| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(name)).find(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_and_compared_as_numbers() {
        assert_eq!(Version::find("2.1.329 (Claude Code)\n"), Some(Version(2, 1, 329)));
        assert_eq!(Version::find("claude v2.1.9"), Some(Version(2, 1, 9)));
        assert!(Version(2, 1, 9) < OLDEST && OLDEST < SOCKET && SOCKET < Version(2, 2, 0));
        for text in ["", "Claude Code", "2.1", "2.1.x"] {
            assert_eq!(Version::find(text), None, "{text}");
        }
    }

    #[test]
    fn the_environment_says_where_settings_are() {
        let of = |variables: &[(&str, &str)]| {
            Place::from_variables(|name| {
                variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.into())
            })
        };
        assert_eq!(of(&[("HOME", "/h")]).unwrap().settings(), Path::new("/h/.claude/settings.json"));
        let both = of(&[("HOME", "/h"), ("CLAUDE_CONFIG_DIR", "/c")]).unwrap();
        assert_eq!(both.skills(), Path::new("/c/skills"));
        assert_eq!(of(&[]).unwrap_err().kind(), ErrorKind::Usage);
    }
}
