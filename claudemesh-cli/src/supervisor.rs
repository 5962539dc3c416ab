//! The service manager that keeps the daemon running: systemd's user instance on Linux, launchd on macOS.
//!
//! Texts of its files are made here and nowhere else; the daemon in them is the same program that every verb starts on
//! demand, in the same home. The home's lock decides between the two.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use claudemesh_client::{Error, ErrorKind, Home};

use crate::host::Found;
use crate::host::bundle::Caller;

mod launchd;
mod systemd;

/// What the first comment of each file says: by it we know our own.
const MARK: &str = "Written by claudemesh; `claudemesh service uninstall` takes it away.";

const ELSEWHERE: &str = "no service is needed: every verb starts the daemon. To keep it running, as in a container, let \
    what starts first run `claudemesh up --foreground`; `claudemesh service install --print` prints the file for another manager";

/// Which manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manager {
    Systemd,
    Launchd,
}

/// What the manager knows of the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// It starts by itself.
    pub(crate) enabled: bool,
    /// It runs.
    pub(crate) active: bool,
}

impl Manager {
    /// The one of this system.
    pub(crate) const fn of_system() -> Self {
        if cfg!(target_os = "macos") { Self::Launchd } else { Self::Systemd }
    }

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Launchd => "launchd",
        }
    }

    /// Where the file lies.
    ///
    /// # Errors
    /// The user's folder is not known.
    pub(crate) fn file(self) -> Result<PathBuf, Error> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let user = variable("HOME").ok_or_else(|| {
            Error::new(ErrorKind::Usage, "HOME is not set: there is no place for a service of this user")
                .with_hint("set HOME and run the command again")
        })?;
        Ok(match self {
            Self::Systemd => {
                let config = variable("XDG_CONFIG_HOME").unwrap_or_else(|| user.join(".config"));
                config.join("systemd/user").join(systemd::UNIT)
            }
            Self::Launchd => user.join("Library/LaunchAgents").join(format!("{}.plist", launchd::LABEL)),
        })
    }

    /// The file's text.
    ///
    /// # Errors
    /// A path cannot be written in it.
    pub(crate) fn text(self, caller: &Caller, home: &Home) -> Result<String, Error> {
        match self {
            Self::Systemd => systemd::text(caller),
            Self::Launchd => launchd::text(caller, &home.log_file()),
        }
    }

    /// Finds out whether the manager answers.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn reach(self) -> Result<(), Error> {
        let (program, arguments): (_, &[&str]) = match self {
            Self::Systemd => (systemd::PROGRAM, &["--user", "show-environment"]),
            Self::Launchd => (launchd::PROGRAM, &["version"]),
        };
        let absent = || {
            let message = format!("{} does not answer for this user", self.name());
            Error::new(ErrorKind::Unreachable, message).with_hint(ELSEWHERE)
        };
        match output(program, arguments) {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(absent().with_source(said(&output))),
            Err(error) => Err(absent().with_source(error)),
        }
    }

    /// Has the manager read the file, start the service, and start it by itself from now on.
    ///
    /// # Errors
    /// The manager refuses.
    pub(crate) fn start(self, file: &Path) -> Result<(), Error> {
        match self {
            Self::Systemd => {
                self.order(systemd::PROGRAM, &["--user", "daemon-reload"])?;
                self.order(systemd::PROGRAM, &["--user", "enable", systemd::UNIT])?;
                self.order(systemd::PROGRAM, &["--user", "restart", systemd::UNIT])
            }
            Self::Launchd => {
                let domain = launchd::domain();
                // Only one that is loaded can be unloaded.
                let _ = output(launchd::PROGRAM, &["bootout", &launchd::target()]);
                self.order(launchd::PROGRAM, &["bootstrap", &domain, &file.display().to_string()])
            }
        }
    }

    /// Has the manager stop the service, and start it no more.
    ///
    /// # Errors
    /// The manager refuses.
    pub(crate) fn stop(self) -> Result<(), Error> {
        match self {
            Self::Systemd => self.order(systemd::PROGRAM, &["--user", "disable", "--now", systemd::UNIT]),
            Self::Launchd => self.order(launchd::PROGRAM, &["bootout", &launchd::target()]),
        }
    }

    /// Has the manager forget a file that is gone.
    pub(crate) fn forget(self) {
        if self == Self::Systemd {
            // It forgets by itself at the latest at the next login.
            let _ = output(systemd::PROGRAM, &["--user", "daemon-reload"]);
        }
    }

    /// What the manager knows.
    pub(crate) fn standing(self) -> Standing {
        let yes = |program, arguments: &[&str]| output(program, arguments).is_ok_and(|output| output.status.success());
        match self {
            Self::Systemd => Standing {
                enabled: yes(systemd::PROGRAM, &["--user", "is-enabled", systemd::UNIT]),
                active: yes(systemd::PROGRAM, &["--user", "is-active", systemd::UNIT]),
            },
            Self::Launchd => {
                let loaded = yes(launchd::PROGRAM, &["print", &launchd::target()]);
                Standing { enabled: loaded, active: loaded }
            }
        }
    }

    fn order(self, program: &str, arguments: &[&str]) -> Result<(), Error> {
        let refused = || {
            let message = format!("{} refuses `{program} {}`", self.name(), arguments.join(" "));
            Error::new(ErrorKind::Refused, message).with_hint(ELSEWHERE)
        };
        match output(program, arguments) {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(refused().with_source(said(&output))),
            Err(error) => Err(refused().with_source(error)),
        }
    }
}

/// Whether a file was written by this program.
///
/// # Errors
/// Another's file lies there.
pub(crate) fn is_ours(found: &Found) -> Result<bool, Error> {
    if !found.exists() {
        return Ok(false);
    }
    if String::from_utf8_lossy(found.bytes()).contains(MARK) {
        return Ok(true);
    }
    let message = format!("{} is not from claudemesh; it was not touched", found.path().display());
    Err(Error::new(ErrorKind::Conflict, message).with_hint("move it away, and run the command again"))
}

fn output(program: &str, arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(program).args(arguments).stdin(Stdio::null()).output()
}

/// What a program had to say, in a line.
fn said(output: &Output) -> std::io::Error {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
    std::io::Error::other(line.trim().to_owned())
}
