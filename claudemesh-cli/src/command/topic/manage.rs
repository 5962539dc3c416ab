//! `topic create`, `topic retention`, `topic join`, `topic leave`.

use std::str::FromStr;

use claudemesh_client::api::{History, TopicCreate, TopicName, TopicRetention};

use super::super::{Outcome, short};
use super::{hash, title};
use crate::app::App;
use crate::spinner::patiently;
use crate::value;

const CREATE_EXAMPLES: &str = "\
Examples:
  claudemesh topic create deploys --purpose \"what goes out, and when\"
  claudemesh topic create incident-7 --private --member bob --member eve
  claudemesh topic create audit --history joining
  claudemesh topic create builds --retention 30d

You become its first lead. Others join a public topic by themselves; a private one only leads add to.";

const JOIN_EXAMPLES: &str = "\
Examples:
  claudemesh topic join deploys
  claudemesh topic join deploys --mesh team";

const RETENTION_EXAMPLES: &str = "\
Examples:
  claudemesh topic retention builds 30d
  claudemesh topic retention builds forever

For leads. Every honest member erases older posts within the hour; an admin's daemon has the broker drop them within \
about two days. Who kept a copy keeps it.";

const LEAVE_EXAMPLES: &str = "\
Examples:
  claudemesh topic leave deploys

What you have read stays readable here.";

/// Make a topic
#[derive(clap::Args)]
#[command(after_help = CREATE_EXAMPLES)]
pub(crate) struct Create {
    /// Name: 1 to 64 bytes, without / and ,
    #[arg(value_name = "TOPIC", value_parser = value::filled)]
    topic: String,
    /// What it is for, 1 KiB at most
    #[arg(long, value_name = "TEXT", value_parser = value::filled)]
    purpose: Option<String>,
    /// Only for the members named; others do not even learn its name
    #[arg(long)]
    private: bool,
    /// Add a member at once: name, or 8 digits of the key; may be given again
    #[arg(long = "member", value_name = "NAME", value_parser = value::filled)]
    members: Vec<String>,
    /// What newcomers may read
    #[arg(long, value_enum, default_value_t = Readable::All)]
    history: Readable,
    /// Keep posts for so long, such as 30d; older ones are erased [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = value::seconds)]
    retention: Option<u64>,
}

/// What newcomers may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Readable {
    /// Everything
    All,
    /// What is written after they came
    Joining,
    /// The same, and readers erase old keys
    None,
}

impl From<Readable> for History {
    fn from(readable: Readable) -> Self {
        match readable {
            Readable::All => Self::All,
            Readable::Joining => Self::Joining,
            Readable::None => Self::None,
        }
    }
}

/// Join a topic
#[derive(clap::Args)]
#[command(after_help = JOIN_EXAMPLES)]
pub(crate) struct Join {
    /// Name, or 8 digits of its id
    #[arg(value_name = "TOPIC", value_parser = value::filled)]
    topic: String,
}

/// Say how long a topic keeps its posts
#[derive(clap::Args)]
#[command(after_help = RETENTION_EXAMPLES)]
pub(crate) struct Retention {
    /// Name, or 8 digits of its id
    #[arg(value_name = "TOPIC", value_parser = value::filled)]
    topic: String,
    /// How long, such as 30d, or forever
    #[arg(value_name = "TIME", value_parser = Kept::from_str)]
    time: Kept,
}

/// How long posts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    ForEver,
    /// Seconds.
    For(u64),
}

impl FromStr for Kept {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "forever" { Ok(Self::ForEver) } else { value::seconds(text).map(Self::For) }
    }
}

/// Leave a topic
#[derive(clap::Args)]
#[command(after_help = LEAVE_EXAMPLES)]
pub(crate) struct Leave {
    /// Name, or 8 digits of its id
    #[arg(value_name = "TOPIC", value_parser = value::filled)]
    topic: String,
}

/// Makes the topic.
pub(super) async fn create(app: &mut App, args: Create) -> Outcome {
    let Create { topic, purpose, private, members, history, retention } = args;
    let request = TopicCreate { topic, purpose, private, members, history: history.into(), retention };
    let service = app.service().await?;
    let topic = patiently(&app.output, "making the topic", service.topic_create(app.mesh(), request)).await?;
    app.output.show(&topic, |page| page.line(&format!("made {} [{}]", title(&topic), short(&topic.id))))?;
    let name = hash(&topic.name);
    app.output.note(|page| page.line(&format!("next: `claudemesh topic post '{name}' TEXT` writes to it")));
    Ok(())
}

/// Changes how long posts are kept.
pub(super) async fn retention(app: &mut App, args: Retention) -> Outcome {
    let seconds = match args.time {
        Kept::ForEver => None,
        Kept::For(seconds) => Some(seconds),
    };
    let changed = TopicRetention { topic: args.topic, seconds };
    let service = app.service().await?;
    let topic = patiently(&app.output, "changing the topic", service.topic_retention(app.mesh(), changed)).await?;
    let kept = topic.retention.map_or_else(|| "for ever".into(), |seconds| format!("for {}", value::span(seconds)));
    app.output.show(&topic, |page| page.line(&format!("{} keeps posts {kept}", title(&topic))))
}

/// Joins.
pub(super) async fn join(app: &mut App, args: Join) -> Outcome {
    let service = app.service().await?;
    let joined = service.topic_join(app.mesh(), TopicName { topic: args.topic });
    let topic = patiently(&app.output, "joining", joined).await?;
    app.output.show(&topic, |page| page.line(&format!("joined {}", title(&topic))))
}

/// Leaves.
pub(super) async fn leave(app: &mut App, args: Leave) -> Outcome {
    let service = app.service().await?;
    let left = service.topic_leave(app.mesh(), TopicName { topic: args.topic });
    let topic = patiently(&app.output, "leaving", left).await?;
    app.output.show(&topic, |page| page.line(&format!("left {}", title(&topic))))
}
