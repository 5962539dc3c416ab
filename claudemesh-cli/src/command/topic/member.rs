//! `topic members`, `topic add`, `topic remove`.

use claudemesh_client::api::{TopicMember, TopicMemberChange, TopicMembers, TopicName, TopicRole};

use super::super::{Outcome, name_of, short, word};
use super::hash;
use crate::app::App;
use crate::output::Page;
use crate::spinner::patiently;
use crate::value;

const MEMBERS_EXAMPLES: &str = "\
Examples:
  claudemesh topic members deploys
  claudemesh topic members deploys --json=member.name,role";

const ADD_EXAMPLES: &str = "\
Examples:
  claudemesh topic add deploys bob
  claudemesh topic add deploys bob --role observer     also changes the role of who is in it

An observer reads, a member writes too, a lead changes the topic and its members.";

const REMOVE_EXAMPLES: &str = "\
Examples:
  claudemesh topic remove deploys bob

Of a private topic, a removed member cannot read what is written afterwards.";

/// Show who is in a topic
#[derive(clap::Args)]
#[command(after_help = MEMBERS_EXAMPLES)]
pub(crate) struct Members {
    /// Name, or 8 digits of its id
    #[arg(value_name = "TOPIC", value_parser = value::filled)]
    topic: String,
}

/// Add a member to a topic, or change its role there
#[derive(clap::Args)]
#[command(after_help = ADD_EXAMPLES)]
pub(crate) struct Add {
    /// Name, or 8 digits of its id
    #[arg(value_name = "TOPIC", value_parser = value::filled)]
    topic: String,
    /// Name, or 8 digits of the key
    #[arg(value_name = "MEMBER", value_parser = value::filled)]
    member: String,
    /// What the member may do there
    #[arg(long, value_enum, default_value_t = Role::Member)]
    role: Role,
}

/// Roles in a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Role {
    /// Reads
    Observer,
    /// Reads and writes
    Member,
    /// Changes the topic and its members, too
    Lead,
}

impl From<Role> for TopicRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Observer => Self::Observer,
            Role::Member => Self::Member,
            Role::Lead => Self::Lead,
        }
    }
}

/// Remove a member from a topic
#[derive(clap::Args)]
#[command(after_help = REMOVE_EXAMPLES)]
pub(crate) struct Remove {
    /// Name, or 8 digits of its id
    #[arg(value_name = "TOPIC", value_parser = value::filled)]
    topic: String,
    /// Name, or 8 digits of the key
    #[arg(value_name = "MEMBER", value_parser = value::filled)]
    member: String,
}

/// Lists.
pub(super) async fn members(app: &mut App, args: Members) -> Outcome {
    let members = app.service().await?.topic_members(app.mesh(), TopicName { topic: args.topic }).await?;
    app.output.show(&members, |page| table(page, &members))
}

/// Adds, or changes the role.
pub(super) async fn add(app: &mut App, args: Add) -> Outcome {
    let role = TopicRole::from(args.role);
    let change = TopicMemberChange { topic: args.topic, member: args.member, role: Some(role) };
    changed(app, change, |member, topic| format!("{member} is now {} of {topic}", word(role))).await
}

/// Removes.
pub(super) async fn remove(app: &mut App, args: Remove) -> Outcome {
    let change = TopicMemberChange { topic: args.topic, member: args.member, role: None };
    changed(app, change, |member, topic| format!("removed {member} from {topic}")).await
}

async fn changed(app: &mut App, change: TopicMemberChange, said: impl Fn(&str, &str) -> String) -> Outcome {
    let service = app.service().await?;
    let member = change.member.clone();
    let members = patiently(&app.output, "changing the topic", service.topic_member(app.mesh(), change)).await?;
    app.output.show(&members, |page| {
        page.line(&said(&member, &hash(&members.topic)));
        page.gap();
        table(page, &members);
    })
}

fn table(page: &mut Page, members: &TopicMembers) {
    let row = |TopicMember { member, role }: &TopicMember| {
        vec![name_of(&member.name, &member.id).into(), short(&member.id).into(), word(role)]
    };
    page.table(&["NAME", "KEY", "ROLE"], &members.members.iter().map(row).collect::<Vec<_>>());
}
