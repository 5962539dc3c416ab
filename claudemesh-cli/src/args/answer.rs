//! What each verb answers, so that `--json=FIELDS` is checked before anything is done.

use claudemesh_client::api;

use super::Command;
use crate::command::{
    down, group, install, invite, member, memory, mesh, message, notification, peers, service, session, state,
    statusline, task, topic,
};
use crate::doctor::Diagnosis;
use crate::projection::Schema;

impl Command {
    /// The fields of the verb's answer; `None` when it has none.
    pub(crate) fn answer(&self) -> Option<Schema> {
        Some(match self {
            Self::Up(_) => Schema::of::<api::UpReply>(),
            Self::Down => Schema::of::<down::Stopped>(),
            Self::Invite(args) => invite(args),
            Self::Join(_) => Schema::of::<api::JoinReply>(),
            Self::Send(_) | Self::Message(message::Verb::Send(_)) => Schema::of::<api::Sent>(),
            Self::Inbox(_) | Self::Message(message::Verb::Inbox(_)) => Schema::of::<api::Inbox>(),
            Self::Listen(_) => Schema::of::<api::EventRecord>(),
            Self::Message(message::Verb::Status(_)) => Schema::of::<api::MessageStatus>(),
            Self::Peers(_) | Self::Peer(peers::Verb::List(_)) => Schema::of::<api::Peers>(),
            Self::Topic(verb) => topic(verb),
            Self::Group(group::Verb::List(_)) => Schema::of::<api::Groups>(),
            Self::Group(_) => Schema::of::<api::Group>(),
            Self::Notification(notification::Verb::List(_)) => Schema::of::<api::Notifications>(),
            Self::Notification(notification::Verb::Read(_)) => Schema::of::<api::Marked>(),
            Self::State(state::Verb::List(_)) => Schema::of::<api::StateEntries>(),
            Self::State(_) => Schema::of::<api::StateEntry>(),
            Self::Recall(_) | Self::Memory(memory::Verb::Recall(_)) => Schema::of::<api::Memories>(),
            Self::Remember(_) | Self::Forget(_) | Self::Memory(_) => Schema::of::<api::Memory>(),
            Self::Task(task::Verb::List(_)) => Schema::of::<api::Tasks>(),
            Self::Task(_) => Schema::of::<api::Task>(),
            Self::Compact(_) => Schema::of::<api::Compacted>(),
            Self::Status(args) if args.verb.is_none() => Schema::of::<api::Status>(),
            Self::Summary(_) | Self::Status(_) | Self::Whoami => Schema::of::<api::WhoAmI>(),
            Self::Mesh(mesh::Verb::List) => Schema::of::<api::Meshes>(),
            Self::Mesh(_) => Schema::of::<api::MeshInfo>(),
            Self::Member(member::Verb::List) => Schema::of::<api::Members>(),
            Self::Member(_) => Schema::of::<api::MemberChange>(),
            Self::Install(_) | Self::Uninstall(_) => Schema::of::<install::Installation>(),
            Self::Statusline(_) => Schema::of::<statusline::Line>(),
            Self::Doctor(_) => Schema::of::<Diagnosis>(),
            Self::Service(_) => Schema::of::<service::Service>(),
            Self::Session(session::Verb::Limit(_)) => Schema::of::<api::SessionLimits>(),
            Self::Session(_) => Schema::of::<api::HostSessions>(),
            Self::Allow(_) => Schema::of::<api::Permits>(),
            Self::Launch(_)
            | Self::Broker(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Mcp(_)
            | Self::Hook(_)
            | Self::Daemon => {
                return None;
            }
        })
    }
}

fn invite(args: &invite::Args) -> Schema {
    if args.is_list() { Schema::of::<api::Invites>() } else { Schema::of::<api::Invite>() }
}

fn topic(verb: &topic::Verb) -> Schema {
    match verb {
        topic::Verb::List(_) => Schema::of::<api::Topics>(),
        topic::Verb::Members(_) | topic::Verb::Add(_) | topic::Verb::Remove(_) => Schema::of::<api::TopicMembers>(),
        topic::Verb::Post(_) => Schema::of::<api::Posted>(),
        topic::Verb::History(_) | topic::Verb::Resolve(_) => Schema::of::<api::Posts>(),
        topic::Verb::Tail(_) => Schema::of::<api::Post>(),
        topic::Verb::Search(_) => Schema::of::<api::Hits>(),
        topic::Verb::Create(_)
        | topic::Verb::Retention(_)
        | topic::Verb::Join(_)
        | topic::Verb::Leave(_)
        | topic::Verb::Read(_) => Schema::of::<api::Topic>(),
    }
}
