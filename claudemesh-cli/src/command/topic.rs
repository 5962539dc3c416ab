//! `topic`: conversations with a history.

use claudemesh_client::api::{Post, Topic};

use super::Outcome;
use crate::app::App;
use crate::output::Page;

pub(crate) mod list;
pub(crate) mod manage;
pub(crate) mod member;
pub(crate) mod post;
pub(crate) mod read;

/// Verbs of topics.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    Create(manage::Create),
    List(list::Args),
    Retention(manage::Retention),
    Join(manage::Join),
    Leave(manage::Leave),
    Members(member::Members),
    Add(member::Add),
    Remove(member::Remove),
    Post(post::Args),
    History(read::History),
    Tail(read::Tail),
    Search(read::Search),
    Read(read::Mark),
    Resolve(post::Resolve),
}

impl Verb {
    /// Whether it only reads, at once.
    pub(crate) const fn is_reading(&self) -> bool {
        matches!(self, Self::List(_) | Self::Members(_) | Self::History(_) | Self::Search(_))
    }

    /// Whether `--session` means something to the verb.
    pub(crate) const fn knows_session(&self) -> bool {
        matches!(self, Self::List(_) | Self::Post(_) | Self::Read(_))
    }
}

/// Runs the verb.
pub(crate) async fn run(app: &mut App, verb: Verb) -> Outcome {
    match verb {
        Verb::Create(args) => manage::create(app, args).await,
        Verb::List(args) => list::run(app, args).await,
        Verb::Retention(args) => manage::retention(app, args).await,
        Verb::Join(args) => manage::join(app, args).await,
        Verb::Leave(args) => manage::leave(app, args).await,
        Verb::Members(args) => member::members(app, args).await,
        Verb::Add(args) => member::add(app, args).await,
        Verb::Remove(args) => member::remove(app, args).await,
        Verb::Post(args) => post::run(app, args).await,
        Verb::History(args) => read::history(app, args).await,
        Verb::Tail(args) => read::tail(app, args).await,
        Verb::Search(args) => read::search(app, args).await,
        Verb::Read(args) => read::mark(app, args).await,
        Verb::Resolve(args) => post::resolve(app, args).await,
    }
}

/// A post among other events.
pub(super) fn show_post(page: &mut Page, post: &Post) {
    read::show_named(page, post);
}

/// A topic's name as it is written to others.
fn hash(name: &str) -> String {
    format!("#{}", name.strip_prefix('#').unwrap_or(name))
}

/// A topic's name, with what is particular about it.
fn title(topic: &Topic) -> String {
    let private = if topic.private { " (private)" } else { "" };
    format!("{}{private}", hash(&topic.name))
}
