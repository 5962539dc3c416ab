//! `topic list`: the topics, with what is unread.

use claudemesh_client::api::{Topic, TopicsQuery};

use super::super::{Outcome, incomplete, time, word};
use super::title;
use crate::app::App;

const EXAMPLES: &str = "\
Examples:
  claudemesh topic list
  claudemesh topic list --joined
  claudemesh topic list --json=name,unread,mentions

Everyone is in #general. UNREAD counts what the session has not read; `claudemesh topic read` marks it.";

/// Show topics and what is unread in them
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only those you are in
    #[arg(long)]
    joined: bool,
}

/// Lists.
pub(super) async fn run(app: &mut App, args: Args) -> Outcome {
    let query = TopicsQuery { joined: args.joined, session: app.global.session() };
    let topics = app.service().await?.topics(app.mesh(), query).await?;
    let rows: Vec<Vec<String>> = topics.topics.iter().map(row).collect();
    app.output.show(&topics, |page| {
        page.table(&["TOPIC", "UNREAD", "MENTIONS", "YOU", "LAST POST", "PURPOSE"], &rows);
        for topic in topics.topics.iter().filter(|topic| !topic.missing_epochs.is_empty()) {
            incomplete(page, &title(topic), &topic.missing_epochs);
        }
    })
}

fn row(topic: &Topic) -> Vec<String> {
    vec![
        title(topic),
        topic.unread.to_string(),
        topic.mentions.to_string(),
        topic.role.map_or_else(|| "not in it".into(), word),
        topic.last_post_at.as_deref().map(time).unwrap_or_default(),
        topic.purpose.clone().unwrap_or_default(),
    ]
}
