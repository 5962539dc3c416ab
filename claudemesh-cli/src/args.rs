//! The command line as typed data: verbs, global flags, and the two shapes clap cannot express by itself.

use std::ffi::{OsStr, OsString};
use std::str::FromStr;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::command::{
    allow, broker, compact, completions, doctor, group, hook, inbox, install, invite, join, launch, listen, man, mcp,
    member, memory, mesh, message, notification, peers, send, service, session, state, status, statusline, summary,
    task, topic, up,
};
use crate::projection::{EVERYTHING, Fields};

mod answer;

/// The environment variable with the session, when `--session` is not given.
pub(crate) const SESSION: &str = "CLAUDEMESH_SESSION";

/// The environment variable with the mesh, when `--mesh` is not given.
pub(crate) const MESH: &str = "CLAUDEMESH_MESH";

/// Examples below the list of verbs.
const EXAMPLES: &str = "\
Start here:
  claudemesh up --name alice            make a mesh and print a link for the next person
  claudemesh 'https://…/i#…'            join by a link
  claudemesh send bob \"build is green\"  send; it arrives when bob is back, too
  claudemesh inbox --unread             read what arrived
  claudemesh topic post general \"hi\"   write to a topic; everyone is in #general

Environment:
  CLAUDEMESH_HOME     folder for everything claudemesh keeps [default: the XDG folders]
  CLAUDEMESH_MESH     mesh this shell uses [default: the only one, or that of `mesh use`]
  CLAUDEMESH_SESSION  session this shell speaks for [default: main]
  NO_COLOR            no colours

Exit codes:
  0 ok                              5 timeout
  1 a bug of ours                   6 daemon or broker unreachable
  2 usage                           7 conflict
  3 unknown or ambiguous name       8 home locked, corrupt or unwritable
  4 refused, expired or forbidden";

/// End-to-end encrypted messages between people, sessions and scripts.
#[derive(Parser)]
#[command(name = "claudemesh", bin_name = "claudemesh", version, after_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags every verb knows.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct Global {
    /// Print results, and errors, as JSON; with =FIELDS, such as =id,from.name, only these fields of results
    #[arg(long, global = true, value_name = "FIELDS", num_args = 0..=1, require_equals = true,
        default_missing_value = EVERYTHING, value_parser = Fields::from_str, help_heading = "Global options")]
    pub(crate) json: Option<Fields>,
    /// Mesh to use, by label or id [default: $CLAUDEMESH_MESH, the only one, or that of `mesh use`]
    #[arg(long, global = true, value_name = "LABEL", help_heading = "Global options")]
    pub(crate) mesh: Option<String>,
    /// Session to speak for [default: $CLAUDEMESH_SESSION, or main]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    session: Option<String>,
}

impl Global {
    /// The session from the flag or the environment.
    pub(crate) fn session(&self) -> Option<String> {
        self.session.clone().or_else(|| variable(SESSION))
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The verbs.
#[derive(Subcommand)]
pub(crate) enum Command {
    Up(up::Args),
    /// Stop the daemon and the broker inside it
    #[command(after_help = "Examples:\n  claudemesh down\n  claudemesh down --json\n\nAny later verb starts it again.")]
    Down,
    /// Run a broker on its own
    #[command(subcommand)]
    Broker(broker::Verb),
    Invite(invite::Args),
    Join(join::Args),
    Send(send::Args),
    Inbox(inbox::Args),
    Listen(listen::Args),
    /// Messages: their status, and the verbs `send` and `inbox` by resource
    #[command(subcommand)]
    Message(message::Verb),
    Peers(peers::Args),
    /// Peers: `peers` by resource
    #[command(subcommand, hide = true)]
    Peer(peers::Verb),
    /// Topics: conversations with a history
    #[command(subcommand)]
    Topic(topic::Verb),
    /// Groups: labels to address several members at once
    #[command(subcommand)]
    Group(group::Verb),
    /// Notifications: mentions, replies and tasks for you
    #[command(subcommand)]
    Notification(notification::Verb),
    /// Shared state: keys with JSON values
    #[command(subcommand)]
    State(state::Verb),
    Remember(memory::Remember),
    Recall(memory::Recall),
    Forget(memory::Forget),
    /// Memory: `remember`, `recall` and `forget` by resource
    #[command(subcommand, hide = true)]
    Memory(memory::Verb),
    /// Shared tasks: made by one, claimed by one
    #[command(subcommand)]
    Task(task::Verb),
    Compact(compact::Args),
    Summary(summary::Args),
    Status(status::Args),
    /// Show who you are in a mesh
    #[command(after_help = "Examples:\n  claudemesh whoami\n  claudemesh whoami --mesh team --json")]
    Whoami,
    /// Meshes of this home: list, use, rename, leave, delete
    #[command(subcommand)]
    Mesh(mesh::Verb),
    /// Members of a mesh: list, remove, role
    #[command(subcommand)]
    Member(member::Verb),
    /// Sessions of this device that messages can reach
    #[command(subcommand)]
    Session(session::Verb),
    Allow(allow::Args),
    Mcp(mcp::Args),
    Hook(hook::Args),
    Install(install::Args),
    Uninstall(install::Undo),
    Launch(launch::Args),
    Statusline(statusline::Args),
    Doctor(doctor::Args),
    /// The daemon under the system's service manager: install, uninstall, status
    #[command(subcommand)]
    Service(service::Verb),
    Completions(completions::Args),
    Man(man::Args),
    /// Run the daemon in this process; started on demand by the other verbs
    #[command(hide = true)]
    Daemon,
}

impl Command {
    /// Whether the verb runs a server in this process.
    pub(crate) const fn is_server(&self) -> bool {
        match self {
            Self::Daemon | Self::Broker(_) => true,
            Self::Up(args) => args.foreground,
            _ => false,
        }
    }

    /// Whether `--mesh` means something to the verb.
    const fn knows_mesh(&self) -> bool {
        match self {
            Self::Status(args) => args.verb.is_some(),
            Self::Down | Self::Broker(_) | Self::Mesh(_) | Self::Completions(_) | Self::Man(_) | Self::Daemon => false,
            Self::Install(_) | Self::Uninstall(_) | Self::Doctor(_) | Self::Service(_) => false,
            _ => true,
        }
    }

    /// Whether the verb only reads, at once, and shows no secret.
    pub(crate) fn is_reading(&self) -> bool {
        match self {
            Self::Peers(_) | Self::Peer(_) | Self::Whoami | Self::Recall(_) => true,
            Self::Session(verb) => verb.is_reading(),
            Self::Memory(verb) => matches!(verb, memory::Verb::Recall(_)),
            Self::Status(args) => args.verb.is_none(),
            Self::Message(verb) => matches!(verb, message::Verb::Status(_)),
            Self::Topic(verb) => verb.is_reading(),
            Self::Group(verb) => matches!(verb, group::Verb::List(_)),
            Self::Notification(verb) => matches!(verb, notification::Verb::List(_)),
            Self::State(verb) => matches!(verb, state::Verb::Get(_) | state::Verb::List(_)),
            Self::Task(verb) => matches!(verb, task::Verb::List(_) | task::Verb::Show(_)),
            Self::Mesh(verb) => matches!(verb, mesh::Verb::List),
            Self::Member(verb) => matches!(verb, member::Verb::List),
            _ => false,
        }
    }

    /// A flag that was given and means nothing to the verb.
    fn stray(&self, global: &Global) -> Option<&'static str> {
        match self {
            _ if global.mesh.is_some() && !self.knows_mesh() => Some("--mesh"),
            _ if global.session.is_some() && !self.knows_session() => Some("--session"),
            Self::Completions(_) | Self::Man(_) | Self::Mcp(_) | Self::Hook(_) | Self::Launch(_)
                if global.json.is_some() =>
            {
                Some("--json")
            }
            Self::Invite(args) => args.stray(),
            _ => None,
        }
    }

    /// Whether `--session` means something to the verb.
    const fn knows_session(&self) -> bool {
        match self {
            Self::Send(_) | Self::Inbox(_) | Self::Listen(_) | Self::Summary(_) => true,
            Self::Status(args) => args.verb.is_some(),
            Self::Mcp(args) => args.name.is_none(),
            Self::Message(verb) => matches!(verb, message::Verb::Send(_) | message::Verb::Inbox(_)),
            Self::Topic(verb) => verb.knows_session(),
            Self::Task(verb) => verb.knows_session(),
            _ => false,
        }
    }
}

/// Parses the arguments, the program's name first.
///
/// # Errors
/// Clap's error: a usage error, or a request for help or the version.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let mut cli = Cli::from_arg_matches(&command.try_get_matches_from_mut(with_join(args.into_iter().collect()))?)
        .map_err(|error| error.format(&mut command))?;
    // A flag that would be dropped in silence is an error instead.
    if let Some(flag) = cli.command.stray(&cli.global) {
        let message = format!("{flag} has no meaning here; leave it out");
        return Err(command.error(clap::error::ErrorKind::ArgumentConflict, message));
    }
    // A new mesh gets its label from the flag only.
    if cli.global.mesh.is_none()
        && cli.command.knows_mesh()
        && !matches!(cli.command, Command::Up(_) | Command::Join(_))
    {
        cli.global.mesh = variable(MESH);
    }
    if let Some(fields) = cli.global.json.as_mut().filter(|fields| !fields.is_everything()) {
        let checked = match cli.command.answer() {
            Some(schema) => fields.within(&schema),
            None => Err("--json=FIELDS has no meaning here; leave the fields out".into()),
        };
        *fields = checked.map_err(|message| command.error(clap::error::ErrorKind::ValueValidation, message))?;
    }
    Ok(cli)
}

/// Whether `--json` is among arguments that may not parse.
pub(crate) fn wants_json(args: &[OsString]) -> bool {
    let is_json = |arg: &OsString| arg.to_str().is_some_and(|arg| arg == "--json" || arg.starts_with("--json="));
    args.iter().take_while(|arg| *arg != "--").any(is_json)
}

/// `claudemesh LINK` means `claudemesh join LINK`: puts the verb in.
fn with_join(mut args: Vec<OsString>) -> Vec<OsString> {
    let mut index = 1;
    while let Some(arg) = args.get(index).and_then(|arg| arg.to_str()) {
        if arg == "--mesh" || arg == "--session" {
            index += 2;
        } else if arg.starts_with('-') && arg != "-" {
            index += 1;
        } else {
            break;
        }
    }
    if args.get(index).is_some_and(|arg| is_link(arg)) {
        args.insert(index, "join".into());
    }
    args
}

/// Whether this can only be meant as a link: no verb has a scheme.
fn is_link(arg: &OsStr) -> bool {
    arg.to_str()
        .is_some_and(|arg| ["https://", "http://", "claudemesh://"].iter().any(|scheme| arg.starts_with(scheme)))
}

#[cfg(test)]
mod tests;
