//! `topic post`, `topic resolve`: what changes a conversation.

use claudemesh_client::api::{PostRequest, Posted, TopicResolve};

use super::super::{Outcome, send, word};
use super::hash;
use crate::app::App;
use crate::output::{Page, Tone};
use crate::spinner::patiently;
use crate::{stdin, value};

/// A post's text.
const POST: stdin::Kind = stdin::Kind { becomes: "one post", most: 64 * 1024 };

const EXAMPLES: &str = "\
Examples:
  claudemesh topic post deploys \"staging is green, @bob\"
  git log -5 --oneline | claudemesh topic post deploys -
  claudemesh topic post deploys \"so it is\" --reply-to 0190c2f4-7e51-7abc-8def-0123456789ab

@name mentions a member: it gets a notification. A post is durable once this returns, and goes out when it \
can. Posting one --id twice posts once.";

const RESOLVE_EXAMPLES: &str = "\
Examples:
  claudemesh topic resolve deploys 0190c2f4-7e51-7abc-8def-0123456789ab
  claudemesh topic resolve deploys 0190c2f4-7e51-7abc-8def-0123456789ab --reopen";

/// Write to a topic
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Name, or 8 digits of its id
    #[arg(value_name = "TOPIC", value_parser = value::filled)]
    topic: String,
    /// The text, or - to read it from standard input: UTF-8, 64 KiB at most
    #[arg(value_name = "TEXT|-", allow_negative_numbers = true)]
    text: String,
    /// Your own id for the post, a UUID: posted twice, it is one post
    #[arg(long, value_name = "UUID", value_parser = value::message_id)]
    id: Option<String>,
    /// The post this answers: its thread goes on
    #[arg(long, value_name = "ID", value_parser = value::message_id)]
    reply_to: Option<String>,
}

/// Mark a thread resolved, or open again
#[derive(clap::Args)]
#[command(after_help = RESOLVE_EXAMPLES)]
pub(crate) struct Resolve {
    /// Name, or 8 digits of its id
    #[arg(value_name = "TOPIC", value_parser = value::filled)]
    topic: String,
    /// Id of the thread's first post
    #[arg(value_name = "ID", value_parser = value::message_id)]
    thread: String,
    /// Mark it open again
    #[arg(long)]
    reopen: bool,
}

/// Posts.
pub(super) async fn run(app: &mut App, args: Args) -> Outcome {
    let request = PostRequest {
        text: stdin::text(app, args.text, &POST)?,
        topic: args.topic,
        id: args.id,
        reply_to: args.reply_to,
        session: app.global.session(),
    };
    let service = app.service().await?;
    let posted = patiently(&app.output, "posting", service.topic_post(app.mesh(), request)).await?;
    app.output.show(&posted, |page| show(page, &posted))
}

/// Resolves or opens again.
pub(super) async fn resolve(app: &mut App, args: Resolve) -> Outcome {
    let request = TopicResolve { topic: args.topic, thread: args.thread, reopen: args.reopen };
    let service = app.service().await?;
    let thread = patiently(&app.output, "telling the others", service.topic_resolve(app.mesh(), request)).await?;
    let now = if thread.resolved { "resolved" } else { "open" };
    app.output.show(&thread, |page| page.line(&format!("the thread is {now}")))
}

fn show(page: &mut Page, posted: &Posted) {
    let topic = hash(&posted.topic);
    let about = match &posted.at {
        Some(at) => format!("in {topic} at {at}"),
        None => format!("safe on this disk; it goes out to {topic} by itself"),
    };
    page.spans(&[(send::tone(posted.state), &word(posted.state)), (Tone::Plain, ": "), (Tone::Plain, &about)]);
    page.spans(&[(Tone::Faint, "id "), (Tone::Faint, &posted.id)]);
}
