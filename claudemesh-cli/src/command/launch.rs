//! `launch`: Claude Code, connected to the mesh.

use std::os::unix::process::CommandExt;
use std::process::Command;

use claudemesh_client::api::GroupChange;
use claudemesh_client::{Error, ErrorKind, Home};

use super::Outcome;
use crate::app::App;
use crate::args::{MESH, SESSION};
use crate::host::bundle::Caller;
use crate::host::claude::{Binary, OLDEST, PROGRAM, Place};
use crate::host::install::{is_loaded, provide};
use crate::spinner::patiently;
use crate::value;

const EXAMPLES: &str = "\
Examples:
  claudemesh launch
  claudemesh launch --name api --groups backend,reviewers --role reviewer
  claudemesh launch --continue
  claudemesh launch --mesh team -- --model opus \"fix the parser\"

What follows -- goes to `claude` as it is. Without `claudemesh install` the plugin is loaded for this one session.";

/// Start Claude Code as a session of the mesh
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Name of the session: others reach it as YOU/NAME [default: the folder's name]
    #[arg(long, value_parser = value::session)]
    name: Option<String>,
    /// Groups to join first, separated by commas
    #[arg(long, value_name = "GROUP,…", value_delimiter = ',', value_parser = value::filled)]
    groups: Vec<String>,
    /// What you do in these groups
    #[arg(long, value_name = "TEXT", requires = "groups", value_parser = value::filled)]
    role: Option<String>,
    /// Resume a conversation: by its id, or choose one
    #[arg(long, value_name = "ID", num_args = 0..=1, conflicts_with = "go_on")]
    resume: Option<Option<String>>,
    /// Continue the last conversation of this folder
    #[arg(long = "continue")]
    go_on: bool,
    /// Arguments for `claude`
    #[arg(last = true, value_name = "ARGS")]
    rest: Vec<std::ffi::OsString>,
}

/// Prepares, and becomes Claude Code.
pub(crate) async fn run(app: &mut App, args: Args) -> Outcome {
    let (home, place) = (Home::from_env()?, Place::from_env()?);
    let Some(binary) = Binary::find().await else {
        return Err(Error::new(ErrorKind::NotFound, format!("`{PROGRAM}` is not on the search path"))
            .with_hint("install Claude Code, or add the folder of its program to PATH")
            .into());
    };
    if let Some(version) = binary.version.filter(|version| *version < OLDEST) {
        return Err(Error::new(ErrorKind::Conflict, format!("Claude Code {version} is too old"))
            .with_hint(format!("{OLDEST} or later is needed: run `claude update`"))
            .into());
    }
    let service = app.service().await?;
    let me = service.whoami(app.mesh()).await?;
    for group in &args.groups {
        let change = GroupChange { group: group.clone(), role: args.role.clone(), ..GroupChange::default() };
        patiently(&app.output, "joining the groups", service.group_join(app.mesh(), change)).await?;
    }
    let mut command = Command::new(&binary.path);
    if !is_loaded(&place, &home) {
        command.arg("--plugin-dir").arg(provide(&home, &Caller::own(&home)?)?);
    }
    if args.go_on {
        command.arg("--continue");
    }
    if let Some(resumed) = args.resume {
        command.arg("--resume").args(resumed);
    }
    command.args(args.rest).env(MESH, &me.mesh.id);
    if let Some(name) = args.name {
        command.env(SESSION, name);
    }
    app.warn().await;
    // This process becomes it: the terminal, its signals and its exit code are Claude Code's from here on.
    let error = command.exec();
    Err(Error::new(ErrorKind::Refused, format!("{} cannot be started", binary.path.display()))
        .with_hint("run `claude --version` to see why")
        .with_source(error)
        .into())
}
