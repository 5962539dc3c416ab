//! `send`: writes to a member, a group, a topic or everyone. The message is safe on this disk before anything is printed.

use std::time::Duration;

use claudemesh_client::api::{Priority, SendRequest, Sent, State, WaitRequest};
use claudemesh_client::service::Service;
use claudemesh_client::{Error, ErrorKind};
use tokio::time::timeout;

use super::{Outcome, names, word};
use crate::app::App;
use crate::output::{Page, Tone};
use crate::report::Failure;
use crate::spinner::patiently;
use crate::{stdin, value};

/// A message's text.
const MESSAGE: stdin::Kind = stdin::Kind { becomes: "one message", most: 128 * 1024 };
/// How long a send that waits for nothing looks whether the broker took the message.
const GLANCE: Duration = Duration::from_secs(2);
/// How long `--wait` waits.
const PATIENCE: Duration = Duration::from_secs(30);
/// What an answer may take on top of the wait itself.
const SLACK: Duration = Duration::from_millis(500);

const EXAMPLES: &str = "\
Examples:
  claudemesh send bob \"build is green\"
  git diff | claudemesh send bob/review - --priority low
  claudemesh send bob \"stop\" --priority now --wait delivered --timeout 10s
  claudemesh send @backend \"the schema has changed\"    everyone in the group and below it
  claudemesh send '#deploys' \"going out\"               a post in the topic
  claudemesh send '*' \"the mesh moves tonight\"         everyone

Without --wait it returns as soon as the broker has the message, after 2 seconds at most: the message is \
durable by then, and goes out when it can. Sending one --id twice sends one message.";

/// Send a message
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Whom to: a name, name/session, 8 digits of a key, @group, #topic, or * for everyone
    #[arg(value_name = "TO", value_parser = value::address)]
    to: String,
    /// The text, or - to read it from standard input: UTF-8, 128 KiB at most
    #[arg(value_name = "TEXT|-", allow_negative_numbers = true)]
    text: String,
    /// How urgent it is
    #[arg(long, value_enum, default_value_t = Urgency::Next)]
    priority: Urgency,
    /// Your own id for the message, a UUID: sent twice, it is one message
    #[arg(long, value_name = "UUID", value_parser = value::message_id)]
    id: Option<String>,
    /// The message this answers
    #[arg(long, value_name = "ID", value_parser = value::message_id)]
    reply_to: Option<String>,
    /// How long it may wait for its recipient, such as 12h [default: 7d]
    #[arg(long, value_name = "TIME", value_parser = value::seconds)]
    ttl: Option<u64>,
    /// Wait until the message has got this far
    #[arg(long, value_name = "STATE", value_enum)]
    wait: Option<Goal>,
    /// How long to wait, such as 10s [default: 30s]; then exit code 5, and the message stays
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = value::patience)]
    timeout: Option<Duration>,
}

/// Priorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Urgency {
    /// May interrupt
    Now,
    /// At the recipient's next break
    Next,
    /// When the recipient asks
    Low,
}

/// States to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Goal {
    /// On this disk
    Queued,
    /// On the broker's disk
    Accepted,
    /// On the recipient's disk
    Delivered,
    /// Read
    Read,
}

impl From<Goal> for State {
    fn from(goal: Goal) -> Self {
        match goal {
            Goal::Queued => Self::Queued,
            Goal::Accepted => Self::Accepted,
            Goal::Delivered => Self::Delivered,
            Goal::Read => Self::Read,
        }
    }
}

/// Sends, and waits as asked.
pub(crate) async fn run(app: &mut App, args: Args) -> Outcome {
    let address = args.to.clone();
    let request = SendRequest {
        text: stdin::text(app, args.text, &MESSAGE)?,
        to: vec![args.to],
        priority: match args.priority {
            Urgency::Now => Priority::Now,
            Urgency::Next => Priority::Next,
            Urgency::Low => Priority::Low,
        },
        id: args.id,
        reply_to: args.reply_to,
        ttl: args.ttl,
        session: app.global.session(),
    };
    let service = app.service().await?;
    let sent = service.send(app.mesh(), request).await?;
    let to = recipients(address, &sent);
    let sent = match args.wait {
        Some(goal) => until(app, &*service, sent, &to, goal.into(), args.timeout.unwrap_or(PATIENCE)).await?,
        None => glance(app, &*service, sent).await,
    };
    if sent.state.is_failure() {
        return Err(Failure::Sent(failed(&sent, &to), Box::new(sent)));
    }
    // Only a message that did not leave needs to know why.
    let connected = match (app.output.json, sent.state) {
        (false, State::Queued) => service.whoami(app.mesh()).await.ok().map(|me| me.connected),
        _ => None,
    };
    app.output.show(&sent, |page| show(page, &sent, &to, connected))
}

/// What to call those it goes to: a group, a topic or everyone by the address, members by their names.
fn recipients(address: String, sent: &Sent) -> String {
    if address.starts_with(['@', '#', '*']) { address } else { names(&sent.to) }
}

/// Looks for a moment whether the broker has taken the message. Whatever it finds, the message is sent.
async fn glance(app: &App, service: &dyn Service, sent: Sent) -> Sent {
    if sent.state.is_failure() || sent.state.reached(State::Accepted) {
        return sent;
    }
    match wait(app, service, &sent, State::Accepted, GLANCE).await {
        Some(Ok(now)) => now,
        Some(Err(_)) | None => sent,
    }
}

/// Waits for a state, a failure, or the end of the patience.
async fn until(
    app: &App,
    service: &dyn Service,
    sent: Sent,
    to: &str,
    goal: State,
    patience: Duration,
) -> Result<Sent, Failure> {
    let settled = |sent: &Sent| sent.state.is_failure() || sent.state.reached(goal);
    if settled(&sent) {
        return Ok(sent);
    }
    let last = match wait(app, service, &sent, goal, patience).await {
        Some(Ok(now)) if settled(&now) => return Ok(now),
        Some(Ok(now)) => now,
        Some(Err(error)) if error.kind() != ErrorKind::Timeout => return Err(Failure::Sent(error, Box::new(sent))),
        Some(Err(_)) | None => sent,
    };
    Err(Failure::Sent(unmet(&last, to, goal, patience), Box::new(last)))
}

/// None when the service itself overruns.
async fn wait(
    app: &App,
    service: &dyn Service,
    sent: &Sent,
    goal: State,
    patience: Duration,
) -> Option<Result<Sent, Error>> {
    let timeout_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let request = WaitRequest { id: sent.id.clone(), state: goal, timeout_ms };
    let answer = timeout(patience.saturating_add(SLACK), service.wait(app.mesh(), request));
    patiently(&app.output, "waiting for the message to get there", answer).await.ok()
}

fn unmet(sent: &Sent, to: &str, goal: State, patience: Duration) -> Error {
    let reason = sent.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let (state, goal) = (word(sent.state), word(goal));
    let message = format!("the message to {to} is {state}{reason}, not {goal}, after {patience:?}");
    Error::new(ErrorKind::Timeout, message)
        .with_hint(format!("it stays and goes on by itself; look with `claudemesh message status {}`", sent.id))
}

fn failed(sent: &Sent, to: &str) -> Error {
    let reason = sent.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let (kind, message) = match sent.state {
        State::Expired => (ErrorKind::Expired, format!("the message to {to} expired before it was delivered{reason}")),
        _ => (ErrorKind::Refused, format!("the message to {to} was refused{reason}")),
    };
    Error::new(kind, message)
        .with_hint(format!("`claudemesh message status {}` shows every recipient; a new try needs a new send", sent.id))
}

fn show(page: &mut Page, sent: &Sent, to: &str, connected: Option<bool>) {
    let about = match (sent.state, &sent.reason, connected) {
        (State::Queued, None, Some(false)) => "the broker is unreachable; it goes out when it is back".into(),
        (State::Queued, None, _) => "safe on this disk; it goes out by itself".into(),
        (State::Held, None, _) => format!("it waits for {to}, and goes out by itself"),
        (State::Queued | State::Held, Some(reason), _) => format!("{reason}; it goes out by itself"),
        (State::Accepted, ..) => format!("the broker has it for {to}"),
        (State::Delivered, ..) => format!("{to} has it"),
        (State::Injected, ..) => format!("the session of {to} has it"),
        (State::Read, ..) => format!("{to} has read it"),
        _ => format!("to {to}"),
    };
    page.spans(&[(tone(sent.state), &word(sent.state)), (Tone::Plain, ": "), (Tone::Plain, &about)]);
    page.spans(&[(Tone::Faint, "id "), (Tone::Faint, &sent.id)]);
}

/// How a state stands out.
pub(super) const fn tone(state: State) -> Tone {
    match state {
        State::Expired | State::Refused => Tone::Bad,
        State::Queued | State::Held => Tone::Warning,
        _ => Tone::Good,
    }
}
