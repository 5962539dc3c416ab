//! `listen`: events as they happen, until interrupted.

use claudemesh_client::api::{AckRequest, Event, EventRecord, EventsQuery};
use claudemesh_client::{Error, ErrorKind};
use futures_util::StreamExt;

use super::{Outcome, inbox, name_of, notification, peers, topic, who, word};
use crate::app::App;
use crate::output::{Page, Tone};
use crate::value;

const EXAMPLES: &str = "\
Examples:
  claudemesh listen
  claudemesh listen --json | jq -r 'select(.type == \"message\") | .message.body'
  claudemesh listen --json --consumer ci           goes on where it stopped
  claudemesh listen --topic deploys --topic builds

One JSON object a line: message, post, notification, receipt, presence, roster or lagged, each with its \
position. Posts are those of others in topics you are in; one that mentions you comes as a notification, too. With \
--consumer a position is kept once its line is written, so a restart repeats at most that line.
Listening marks nothing read.";

/// Print events until interrupted
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Name under which the position is kept, to go on there next time
    #[arg(long, value_name = "NAME", value_parser = value::filled)]
    consumer: Option<String>,
    /// Of posts, print only those of this topic; may be given again
    #[arg(long = "topic", value_name = "TOPIC", value_parser = value::filled, conflicts_with = "no_topics")]
    topics: Vec<String>,
    /// Print no posts; notifications of them still come
    #[arg(long)]
    no_topics: bool,
}

impl Args {
    /// Whether an event is to be printed.
    fn wants(&self, event: &Event) -> bool {
        let Event::Post { post } = event else { return true };
        let named = |topic: &String| topic.strip_prefix('#').unwrap_or(topic) == post.topic;
        !self.no_topics && (self.topics.is_empty() || self.topics.iter().any(named))
    }
}

/// Prints events.
pub(crate) async fn run(app: &mut App, args: Args) -> Outcome {
    let mut interrupted = app.interrupted()?;
    let service = app.service().await?;
    let query = EventsQuery { consumer: args.consumer.clone(), after: None, session: app.global.session() };
    let mut events = service.events(app.mesh(), query).await?;
    app.warn().await;
    if app.output.out.terminal {
        app.output.note(|page| page.line("listening; Ctrl-C ends it"));
    }
    let mut done = 0;
    loop {
        let record = tokio::select! {
            biased;
            record = events.next() => record,
            () = &mut interrupted => return Ok(()),
        };
        let Some(record) = record else {
            return Err(Error::new(ErrorKind::Unreachable, "the daemon ended the feed")
                .with_hint("run it again; with --consumer it goes on where it stopped")
                .into());
        };
        let record = record?;
        if args.wants(&record.event) {
            app.output.show(&record, |page| show(page, &record))?;
        }
        let Some(consumer) = &args.consumer else { continue };
        if is_durable(&record.event) && record.position > done {
            done = record.position;
            let request = AckRequest { consumer: consumer.clone(), position: done };
            service.ack(app.mesh(), request).await?;
        }
    }
}

/// Whether an event's position is its own. Presence and losses borrow the last one: committing it could skip events.
const fn is_durable(event: &Event) -> bool {
    !matches!(event, Event::Presence { .. } | Event::Lagged { .. })
}

fn show(page: &mut Page, record: &EventRecord) {
    match &record.event {
        Event::Message { message } => inbox::show(page, message),
        Event::Post { post } => topic::show_post(page, post),
        Event::Notification { notification } => notification::show(page, notification),
        Event::Receipt { id, member, state, reason } => {
            let reason = reason.as_ref().map(|reason| format!("  {reason}")).unwrap_or_default();
            let about = format!("  {}  {id}{reason}", who(member));
            page.spans(&[(super::send::tone(*state), &word(state)), (Tone::Plain, &about)]);
        }
        Event::Presence { peer } => {
            let summary = peer.summary.as_ref().map(|summary| format!("  {summary}")).unwrap_or_default();
            let about = format!(" is {}{summary}", peers::presence(peer));
            page.spans(&[(Tone::Strong, name_of(&peer.name, &peer.member)), (Tone::Faint, &about)]);
        }
        Event::Roster { change, member, index } => {
            let member = member.as_ref().map(|member| format!("  {}", who(member))).unwrap_or_default();
            page.line(&format!("{}{member}  #{index}", change.replace('_', " ")));
        }
        Event::Lagged { missed } => {
            let lost = super::count(*missed, "event");
            page.labelled(Tone::Warning, "lagged", &format!("{lost} went by unseen; this reader was too slow"));
        }
        _ => page.labelled(Tone::Faint, "event", "of a kind this version does not know"),
    }
}
