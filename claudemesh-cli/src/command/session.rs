//! `session list`: the sessions of this device that messages can reach; `session limit`: how much they are told.

use claudemesh_client::api::{HostSession, LimitsRequest, SessionsQuery};

use super::{Outcome, names, time, word};
use crate::app::App;
use crate::output::{Page, Tone};

const LIST_EXAMPLES: &str = "\
Examples:
  claudemesh session list
  claudemesh session list --all --json=name,status,route,unread

A session is addressed as NAME of its member, as in `claudemesh send bob/api TEXT`. A message to `bob` alone goes to the \
session marked as first, unless somebody reads as `main`.";

const LIMIT_EXAMPLES: &str = "\
Examples:
  claudemesh session limit
  claudemesh session limit --exchange 10 --hourly 30

Two sessions that answer each other without a person stop at the first limit; what comes then waits until the user says \
something, and its sender sees why.";

/// Verbs of sessions.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Show the sessions of this device that messages can reach
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Show, or set, how much sessions are told without their users saying anything
    #[command(after_help = LIMIT_EXAMPLES)]
    Limit(LimitArgs),
}

/// What to limit.
#[derive(clap::Args)]
pub(crate) struct LimitArgs {
    /// Messages of one member since the session's user said something
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    exchange: Option<u32>,
    /// Notices of a session in an hour
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    hourly: Option<u32>,
}

impl Verb {
    /// Whether it only reads.
    pub(crate) const fn is_reading(&self) -> bool {
        matches!(self, Self::List(_))
    }
}

/// What to list.
#[derive(clap::Args)]
pub(crate) struct ListArgs {
    /// Show ended sessions, too
    #[arg(long)]
    all: bool,
}

/// Lists.
pub(crate) async fn run(app: &mut App, verb: Verb) -> Outcome {
    let args = match verb {
        Verb::List(args) => args,
        Verb::Limit(args) => return limit(app, args).await,
    };
    let sessions = app.service().await?.sessions(app.mesh(), SessionsQuery { all: args.all }).await?;
    app.output.show(&sessions, |page| show(page, &sessions.sessions))?;
    if sessions.sessions.is_empty() {
        app.output.note(|page| page.line("no session runs on this device"));
    }
    Ok(())
}

async fn limit(app: &mut App, args: LimitArgs) -> Outcome {
    let request = LimitsRequest { exchange: args.exchange, hourly: args.hourly };
    let limits = app.service().await?.session_limits(app.mesh(), request).await?;
    app.output.show(&limits, |page| {
        page.fields(&[
            ("exchange", &format!("{} messages of one member until the user says something", limits.exchange)),
            ("hourly", &format!("{} notices of a session in an hour", limits.hourly)),
        ]);
    })
}

fn show(page: &mut Page, sessions: &[HostSession]) {
    let rows: Vec<Vec<String>> = sessions.iter().map(row).collect();
    page.table(&["NAME", "STATUS", "ROUTE", "UNREAD", "HOST", "SINCE"], &rows);
    for session in sessions.iter().filter(|session| !session.paused.is_empty()) {
        let text =
            format!("{} is told nothing of {} until its user says something", session.name, names(&session.paused));
        page.labelled(Tone::Warning, "paused", &text);
    }
}

fn row(session: &HostSession) -> Vec<String> {
    let first = if session.lead { " (first)" } else { "" };
    vec![
        format!("{}{first}", session.name),
        if session.live { format!("{} ({})", word(session.status), word(session.source)) } else { "ended".into() },
        word(session.route),
        session.unread.to_string(),
        session.host.host.clone(),
        time(&session.since),
    ]
}
