//! `install` and `uninstall`: beside Claude Code, and away again.

use claudemesh_client::Home;
use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::app::App;
use crate::confirm::asks;
use crate::host::bundle::Caller;
use crate::host::claude::{Binary, OLDEST, Place};
use crate::host::install::{Plan, install, uninstall};
use crate::host::record::{self, Wishes};
use crate::host::settings::{StatusLine, status_line, understood};
use crate::host::{Change, Found};
use crate::output::{Page, Tone};

const EXAMPLES: &str = "\
Examples:
  claudemesh install                     messages reach Claude Code's sessions from their next start on
  claudemesh install --status-line       and its status line shows the mesh
  claudemesh install --dry-run           shows what would change
  claudemesh uninstall                   takes everything away again

It puts one link into Claude Code's folder of skills. Its settings are changed for --status-line and --allow-tools \
only; a copy of them is kept beside them until `uninstall`. CLAUDE_CONFIG_DIR names another folder than ~/.claude.";

const UNDO_EXAMPLES: &str = "\
Examples:
  claudemesh uninstall
  claudemesh uninstall --dry-run         shows what would change

Settings that nobody has changed since come back byte for byte; others lose what is claudemesh's and nothing else. \
Your meshes and messages stay.";

const QUESTION: &str = "Show the mesh in Claude Code's status line?";

/// Install beside Claude Code: its sessions take part in the mesh
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Show the mesh in Claude Code's status line; one that is there already stays
    #[arg(long)]
    status_line: bool,
    /// Let sessions use the mesh's tools without asking you each time
    #[arg(long)]
    allow_tools: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Undo `install`
#[derive(clap::Args)]
#[command(after_help = UNDO_EXAMPLES)]
pub(crate) struct Undo {
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What was installed, or taken away.
#[derive(Serialize, Deserialize)]
pub(crate) struct Installation {
    /// The program beside which it is.
    host: String,
    /// The folder with that program's settings.
    folder: String,
    /// The plugin's folder.
    plugin: String,
    /// The plugin's version.
    version: String,
    /// Whether it is there now; with `dry_run`, whether it would be.
    installed: bool,
    /// Whether anything had to be done.
    changed: bool,
    /// Whether nothing was done.
    dry_run: bool,
    /// What changes in files of the user's.
    changes: Vec<Change>,
    /// Version of the host's program, when it was found and said one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    host_version: Option<String>,
}

/// Installs.
pub(crate) async fn run(app: &mut App, args: Args) -> Outcome {
    let (home, place) = (Home::from_env()?, Place::from_env()?);
    let caller = Caller::own(&home)?;
    let mut wishes = Wishes { status_line: args.status_line, allow_tools: args.allow_tools };
    if !wishes.status_line && !args.dry_run && free_status_line(&place)? {
        wishes.status_line = asks(app, QUESTION);
    }
    let plan = install(&home, &place, &caller, wishes)?;
    let binary = Binary::find().await;
    let version = binary.as_ref().and_then(|binary| binary.version);
    let report = Installation {
        installed: true,
        host_version: version.map(|version| version.to_string()),
        ..report(&home, &place, &plan, args.dry_run)
    };
    if !args.dry_run {
        plan.carry_out()?;
    }
    app.output.show(&report, |page| show(page, &report))?;
    app.output.note(|page| match (&binary, version) {
        (None, _) => {
            page.labelled(Tone::Warning, "note", "`claude` is not on the search path: install Claude Code to use it")
        }
        (Some(_), Some(version)) if version < OLDEST => {
            let text = format!("Claude Code {version} is too old: {OLDEST} or later is needed; run `claude update`");
            page.labelled(Tone::Warning, "note", &text);
        }
        _ if report.changed && !report.dry_run => {
            page.line("sessions that run already take part after a restart; `claudemesh doctor` checks everything");
        }
        _ => {}
    });
    Ok(())
}

/// Uninstalls.
pub(crate) fn undo(app: &mut App, args: Undo) -> Outcome {
    let (home, place) = (Home::from_env()?, Place::from_env()?);
    let plan = uninstall(&home, &place)?;
    let report = report(&home, &place, &plan, args.dry_run);
    if !args.dry_run {
        plan.carry_out()?;
    }
    app.output.show(&report, |page| show(page, &report))
}

/// Whether nobody has a status line there yet. Settings that cannot be read have one, so that nobody is asked.
fn free_status_line(place: &Place) -> Result<bool, claudemesh_client::Error> {
    let found = Found::read(&place.settings())?;
    let settings = understood(found.bytes(), found.path());
    Ok(settings.is_ok_and(|settings| status_line(&settings) == StatusLine::None))
}

fn report(home: &Home, place: &Place, plan: &Plan, dry_run: bool) -> Installation {
    Installation {
        host: "claude-code".into(),
        folder: place.folder().display().to_string(),
        plugin: record::plugin(home).display().to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        installed: false,
        changed: !plan.is_empty(),
        dry_run,
        changes: plan.changes(),
        host_version: None,
    }
}

fn show(page: &mut Page, report: &Installation) {
    let state = match (report.installed, report.changed, report.dry_run) {
        (true, true, false) => "installed",
        (true, true, true) => "would be installed",
        (true, false, _) => "is installed already, nothing changed",
        (false, true, false) => "uninstalled",
        (false, true, true) => "would be uninstalled",
        (false, false, _) => "is not installed, nothing changed",
    };
    page.spans(&[
        (Tone::Strong, "claudemesh "),
        (Tone::Plain, &report.version),
        (Tone::Plain, " "),
        (Tone::Good, state),
    ]);
    page.fields(&[("beside", &format!("Claude Code, {}", report.folder)), ("plugin", &report.plugin)]);
    for change in &report.changes {
        page.gap();
        page.spans(&[(Tone::Faint, &change.action), (Tone::Plain, " "), (Tone::Plain, &change.path)]);
        if let Some(diff) = &change.diff {
            page.quoted(diff);
        }
    }
}
