//! The verbs, one per file: each parses its own arguments, calls the service, and shows what came back.

use claudemesh_client::api::{MemberRef, MeshInfo};
use jiff::Timestamp;

use crate::app::App;
use crate::args::Command;
use crate::output::{Page, Tone};
use crate::report::Failure;

pub(crate) mod allow;
pub(crate) mod broker;
pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod daemon;
pub(crate) mod doctor;
pub(crate) mod down;
mod follow;
pub(crate) mod group;
pub(crate) mod hook;
pub(crate) mod inbox;
pub(crate) mod install;
pub(crate) mod invite;
pub(crate) mod join;
pub(crate) mod launch;
pub(crate) mod listen;
pub(crate) mod man;
pub(crate) mod mcp;
pub(crate) mod member;
pub(crate) mod memory;
pub(crate) mod mesh;
pub(crate) mod message;
pub(crate) mod notification;
pub(crate) mod peers;
pub(crate) mod send;
pub(crate) mod service;
pub(crate) mod session;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod statusline;
pub(crate) mod summary;
pub(crate) mod task;
pub(crate) mod topic;
pub(crate) mod up;
pub(crate) mod whoami;

/// How a command ends.
pub(crate) type Outcome = Result<(), Failure>;

/// Runs a verb.
///
/// # Errors
/// What the verb met, to be reported once.
pub(crate) async fn run(app: &mut App, command: Command) -> Outcome {
    let outcome = verb(app, command).await;
    // An error as JSON is alone on its stream.
    if outcome.is_ok() || !app.output.json {
        app.warn().await;
    }
    outcome
}

async fn verb(app: &mut App, command: Command) -> Outcome {
    match command {
        Command::Up(args) => up::run(app, args).await,
        Command::Down => down::run(app).await,
        Command::Broker(verb) => broker::run(app, verb).await,
        Command::Invite(args) => invite::run(app, args).await,
        Command::Join(args) => join::run(app, args).await,
        Command::Send(args) | Command::Message(message::Verb::Send(args)) => send::run(app, args).await,
        Command::Inbox(args) | Command::Message(message::Verb::Inbox(args)) => inbox::run(app, args).await,
        Command::Listen(args) => listen::run(app, args).await,
        Command::Message(message::Verb::Status(args)) => message::run(app, args).await,
        Command::Peers(args) | Command::Peer(peers::Verb::List(args)) => peers::run(app, args).await,
        Command::Topic(verb) => topic::run(app, verb).await,
        Command::Group(verb) => group::run(app, verb).await,
        Command::State(verb) => state::run(app, verb).await,
        Command::Remember(args) => memory::run(app, memory::Verb::Remember(args)).await,
        Command::Recall(args) => memory::run(app, memory::Verb::Recall(args)).await,
        Command::Forget(args) => memory::run(app, memory::Verb::Forget(args)).await,
        Command::Memory(verb) => memory::run(app, verb).await,
        Command::Task(verb) => task::run(app, verb).await,
        Command::Notification(verb) => notification::run(app, verb).await,
        Command::Compact(args) => compact::run(app, args).await,
        Command::Summary(args) => summary::run(app, args).await,
        Command::Status(args) => status::run(app, args).await,
        Command::Whoami => whoami::run(app).await,
        Command::Mesh(verb) => mesh::run(app, verb).await,
        Command::Member(verb) => member::run(app, verb).await,
        Command::Session(verb) => session::run(app, verb).await,
        Command::Allow(args) => allow::run(app, args).await,
        Command::Mcp(args) => mcp::run(app, args).await,
        Command::Hook(args) => hook::run(app, args).await,
        Command::Install(args) => install::run(app, args).await,
        Command::Uninstall(args) => install::undo(app, args),
        Command::Launch(args) => launch::run(app, args).await,
        Command::Statusline(args) => statusline::run(app, args).await,
        Command::Doctor(args) => doctor::run(app, args).await,
        Command::Service(verb) => service::run(app, verb).await,
        Command::Completions(args) => completions::run(app, args),
        Command::Man(args) => man::run(app, args),
        Command::Daemon => daemon::run(app).await,
    }
}

/// A change that may be asked for again.
#[derive(clap::Args)]
pub(crate) struct Named {
    /// Your own id for this request, a UUID: asked for again under it, it is answered and done once
    #[arg(long, value_name = "UUID", value_parser = crate::value::message_id)]
    request_id: Option<String>,
}

/// What knowledge and work belong to.
#[derive(clap::Args)]
pub(crate) struct Scope {
    /// The topic it belongs to [default: the whole mesh]
    #[arg(long, value_name = "TOPIC", value_parser = crate::value::filled)]
    topic: Option<String>,
}

/// Says which epochs of a log cannot be read here yet.
fn incomplete(page: &mut Page, whose: &str, epochs: &[u64]) {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for epoch in epochs {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *epoch => *last = *epoch,
            _ => runs.push((*epoch, *epoch)),
        }
    }
    let run = |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let which = runs.iter().map(run).collect::<Vec<_>>().join(", ");
    let text = match epochs {
        [_] => format!("the key to epoch {which} of {whose} is not here yet; a member who has it hands it on"),
        _ => format!("the keys to epochs {which} of {whose} are not here yet; a member who has them hands them on"),
    };
    page.labelled(Tone::Warning, "incomplete", &text);
}

/// Digits of a key that are enough to address it.
const SHORT: usize = 8;

/// The start of an id.
fn short(id: &str) -> &str {
    id.char_indices().nth(SHORT).map_or(id, |(end, _)| &id[..end])
}

/// A member's name, or the start of its key while no name is known.
fn name_of<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.is_empty() { short(id) } else { name }
}

/// A member's name with the key that tells it from another of that name.
fn who(member: &MemberRef) -> String {
    if member.name.is_empty() {
        return short(&member.id).to_owned();
    }
    format!("{} ({})", member.name, short(&member.id))
}

/// Names of members in a sentence.
fn names(members: &[MemberRef]) -> String {
    let names: Vec<&str> = members.iter().map(|member| name_of(&member.name, &member.id)).collect();
    if names.is_empty() { "nobody".into() } else { names.join(", ") }
}

/// A time for a reader: to the minute, in UTC as everything here.
pub(crate) fn time(rfc3339: &str) -> String {
    rfc3339
        .parse::<Timestamp>()
        .map_or_else(|_| rfc3339.to_owned(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// A count with its noun.
pub(crate) fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A value's name in the API.
fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "unknown".into(),
    }
}

/// What to say of the connection to a mesh's broker.
const fn connection(mesh: &MeshInfo) -> &'static str {
    if mesh.connected { "connected" } else { "not connected" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_cut_at_characters() {
        assert_eq!(short("0123456789"), "01234567");
        assert_eq!(short("0123"), "0123");
        assert_eq!(short("ééééééééé"), "éééééééé");
    }

    #[test]
    fn times_are_for_readers_and_never_fail() {
        assert_eq!(time("2026-11-21T06:55:12.5Z"), "2026-11-21 06:55 UTC");
        assert_eq!(time("whenever"), "whenever");
    }
}
