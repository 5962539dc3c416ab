//! `service`: the daemon under the system's service manager.

use claudemesh_client::{Error, ErrorKind, Home};
use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::app::App;
use crate::host::Found;
use crate::host::bundle::Caller;
use crate::output::{Page, Tone};
use crate::report::Failure;
use crate::supervisor::{Manager, Standing, is_ours};

const INSTALL_EXAMPLES: &str = "\
Examples:
  claudemesh service install             the daemon runs from login on, and again after a crash
  claudemesh service install --print     prints the file, for another manager or an image

On Linux it is a unit of systemd's user instance, on macOS an agent of launchd; a running daemon gives way to it. \
To run without a login on Linux: `loginctl enable-linger`.";

const UNINSTALL_EXAMPLES: &str = "\
Examples:
  claudemesh service uninstall

The daemon stops; any later verb starts one on demand.";

const STATUS_EXAMPLES: &str = "\
Examples:
  claudemesh service status
  claudemesh service status --json";

/// Verbs of the service.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Have the system start the daemon and keep it running
    #[command(after_help = INSTALL_EXAMPLES)]
    Install {
        /// Print the service's file, and change nothing
        #[arg(long)]
        print: bool,
    },
    /// Undo `service install`
    #[command(after_help = UNINSTALL_EXAMPLES)]
    Uninstall,
    /// Show whether the system runs the daemon
    #[command(after_help = STATUS_EXAMPLES)]
    Status,
}

/// The service.
#[derive(Serialize, Deserialize)]
pub(crate) struct Service {
    /// `systemd` or `launchd`.
    manager: String,
    /// The file that describes the service.
    file: String,
    /// Whether it is there and ours.
    installed: bool,
    /// Whether it starts by itself.
    enabled: bool,
    /// Whether it runs.
    active: bool,
}

/// Installs, uninstalls or shows.
pub(crate) async fn run(app: &mut App, verb: Verb) -> Outcome {
    let manager = Manager::of_system();
    match verb {
        Verb::Install { print } => install(app, manager, print).await,
        Verb::Uninstall => uninstall(app, manager),
        Verb::Status => {
            let installed = is_ours(&Found::read(&manager.file()?)?).unwrap_or(false);
            let standing = if installed { manager.standing() } else { Standing::default() };
            shown(app, &service(manager, installed, standing)?)
        }
    }
}

async fn install(app: &mut App, manager: Manager, print: bool) -> Outcome {
    let home = Home::from_env()?;
    let text = manager.text(&Caller::own(&home)?, &home)?;
    if print {
        if app.output.json {
            let error =
                Error::new(ErrorKind::Usage, "the printed file is no JSON").with_hint("leave --json or --print out");
            return Err(error.into());
        }
        return app.output.print(&text);
    }
    let found = Found::read(&manager.file()?)?;
    if is_ours(&found)? {
        same_home(&found, &text)?;
    }
    manager.reach()?;
    if let Some(folder) = found.path().parent() {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    }
    if found.bytes() != text.as_bytes() {
        found.stage(text.as_bytes())?.commit()?;
    }
    // One daemon at a time holds the home: that of the service.
    app.stop().await?;
    manager.start(found.path())?;
    shown(app, &service(manager, true, manager.standing())?)
}

fn uninstall(app: &mut App, manager: Manager) -> Outcome {
    let found = Found::read(&manager.file()?)?;
    if is_ours(&found)? {
        // Where no manager answers there is nothing to stop.
        if manager.reach().is_ok() {
            manager.stop()?;
        }
        found.remove()?;
        manager.forget();
    }
    shown(app, &service(manager, false, Standing::default())?)
}

/// A service of one home is not silently turned into that of another.
fn same_home(found: &Found, text: &str) -> Result<(), Error> {
    let home = |text: &str| text.lines().find(|line| line.contains("CLAUDEMESH_HOME")).map(str::to_owned);
    if home(&String::from_utf8_lossy(found.bytes())) == home(text) {
        return Ok(());
    }
    let message = format!("{} runs the daemon of another home", found.path().display());
    Err(Error::new(ErrorKind::Conflict, message)
        .with_hint("take it away first with `claudemesh service uninstall`; a user has one such service"))
}

fn service(manager: Manager, installed: bool, standing: Standing) -> Result<Service, Failure> {
    Ok(Service {
        manager: manager.name().into(),
        file: manager.file()?.display().to_string(),
        installed,
        enabled: standing.enabled,
        active: standing.active,
    })
}

fn shown(app: &mut App, service: &Service) -> Outcome {
    app.output.show(service, |page| show(page, service))
}

fn show(page: &mut Page, service: &Service) {
    let state = match (service.installed, service.active, service.enabled) {
        (false, _, _) => "not installed: verbs start the daemon on demand",
        (true, true, true) => "runs, and starts by itself",
        (true, true, false) => "runs, and does not start by itself",
        (true, false, _) => {
            "installed, does not run; a daemon started on demand may hold the home: `claudemesh status`"
        }
    };
    page.labelled(Tone::Strong, &service.manager, state);
    if service.installed {
        page.fields(&[("file", &service.file)]);
    }
}

fn unwritable(path: &std::path::Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unwritable, format!("the folder {} cannot be made", path.display()))
        .with_hint("check who owns what lies above it")
        .with_source(error)
}
