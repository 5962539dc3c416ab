//! `notification`: what asks for attention.

use claudemesh_client::api::{Notification, NotificationQuery, NotificationRead};

use super::{Outcome, count, name_of, short, time};
use crate::app::App;
use crate::output::{Page, Tone};

const LIST_EXAMPLES: &str = "\
Examples:
  claudemesh notification list
  claudemesh notification list --all --limit 10
  claudemesh notification list --json=id,kind,topic,text

Mentions, replies, tasks and topics that concern you, latest first. Listing marks nothing read.";

const READ_EXAMPLES: &str = "\
Examples:
  claudemesh notification read 1.42.0 1.57.0
  claudemesh notification read --all";

/// Verbs of notifications.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    List(List),
    Read(Read),
}

/// Show what asks for your attention
#[derive(clap::Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct List {
    /// Show read ones, too
    #[arg(long)]
    all: bool,
    /// How many at most, the latest
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Mark notifications read
#[derive(clap::Args)]
#[command(after_help = READ_EXAMPLES)]
pub(crate) struct Read {
    /// Their ids
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// All there are
    #[arg(long)]
    all: bool,
}

/// Lists or marks.
pub(crate) async fn run(app: &mut App, verb: Verb) -> Outcome {
    match verb {
        Verb::List(List { all, limit }) => {
            let query = NotificationQuery { all, limit: Some(limit) };
            let found = app.service().await?.notifications(app.mesh(), query).await?;
            app.output.show(&found, |page| found.notifications.iter().for_each(|one| show(page, one)))?;
            if found.notifications.is_empty() {
                app.output.note(|page| page.line("nothing asks for your attention"));
            }
            Ok(())
        }
        // No numbers mean all of them to the call.
        Verb::Read(Read { ids, .. }) => {
            let marked = app.service().await?.notification_read(app.mesh(), NotificationRead { ids }).await?;
            app.output.show(&marked, |page| page.line(&format!("marked {} read", count(marked.marked, "notification"))))
        }
    }
}

/// A notification: its number, what, by whom, where; then the text, set apart.
pub(super) fn show(page: &mut Page, one: &Notification) {
    let from = name_of(&one.from.name, &one.from.id);
    let topic = one.topic.as_ref().map(|topic| format!("  #{topic}")).unwrap_or_default();
    let about = format!("  {}  by {from} ({}){topic}  {}", one.kind, short(&one.from.id), time(&one.at));
    let news = if one.read { "" } else { "  new" };
    page.spans(&[(Tone::Strong, &one.id), (Tone::Plain, &about), (Tone::Good, news)]);
    if let Some(subject) = &one.subject {
        page.spans(&[(Tone::Faint, "id "), (Tone::Faint, subject)]);
    }
    page.quoted(&one.text);
    page.gap();
}
