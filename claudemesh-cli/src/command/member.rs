//! `member`: who belongs to the mesh, and as what.

use claudemesh_client::api::{MemberChange, MemberInfo};

use super::{Outcome, count, name_of, short};
use crate::app::App;
use crate::confirm::confirm;
use crate::output::{Page, Tone};
use crate::value;

const LIST_EXAMPLES: &str = "\
Examples:
  claudemesh member list
  claudemesh member list --json

Compare a safety number with its member by voice or in person: equal numbers mean nobody is in between.";

const REMOVE_EXAMPLES: &str = "\
Examples:
  claudemesh member remove bob
  claudemesh member remove 3f9a01bc --yes

A removed member cannot read what is written afterwards, send, or come back by a link it knew. \
What it has read already, it keeps.";

const ROLE_EXAMPLES: &str = "\
Examples:
  claudemesh member role bob admin
  claudemesh member role 3f9a01bc member";

/// Verbs of members.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Show members, their roles and safety numbers
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Remove a member from the mesh
    #[command(after_help = REMOVE_EXAMPLES)]
    Remove {
        /// Name, or 8 digits of the key
        #[arg(value_parser = value::filled)]
        member: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Change what a member may do
    #[command(after_help = ROLE_EXAMPLES)]
    Role {
        /// Name, or 8 digits of the key
        #[arg(value_parser = value::filled)]
        member: String,
        /// The new role
        #[arg(value_parser = ["owner", "admin", "member"])]
        role: String,
    },
}

/// Lists or changes.
pub(crate) async fn run(app: &mut App, verb: Verb) -> Outcome {
    match verb {
        Verb::List => {
            let members = app.service().await?.members(app.mesh()).await?;
            app.output.show(&members, |page| members.members.iter().for_each(|member| show(page, member)))
        }
        Verb::Remove { member, yes } => {
            confirm(app, yes, &format!("Remove {member}? It will read nothing written from now on."))?;
            let change = app.service().await?.member_remove(app.mesh(), &member).await?;
            app.output.show(&change, |page| {
                page.line(&format!("removed {}", changed(&change, &member)));
                closed(page, &change);
            })
        }
        Verb::Role { member, role } => {
            let change = app.service().await?.member_role(app.mesh(), &member, &role).await?;
            app.output.show(&change, |page| {
                let now = change.member.as_ref().map_or(role.as_str(), |member| &member.role);
                page.line(&format!("{} is now {now}", changed(&change, &member)));
                closed(page, &change);
            })
        }
    }
}

fn changed<'a>(change: &'a MemberChange, asked: &'a str) -> &'a str {
    change.member.as_ref().map_or(asked, |member| name_of(&member.name, &member.id))
}

fn closed(page: &mut Page, change: &MemberChange) {
    if !change.closed_invites.is_empty() {
        let number = change.closed_invites.len() as u64;
        page.line(&format!("closed {} of theirs", count(number, "invite")));
    }
}

fn show(page: &mut Page, member: &MemberInfo) {
    let removed = if member.live { "" } else { ", removed" };
    let about = format!(
        "  {}  {}, {}{removed}, {}",
        short(&member.id),
        member.role,
        member.kind,
        count(member.devices.len() as u64, "device")
    );
    page.spans(&[(Tone::Strong, name_of(&member.name, &member.id)), (Tone::Plain, &about)]);
    match &member.safety_number {
        Some(number) => page.spans(&[(Tone::Faint, "    safety number "), (Tone::Plain, number)]),
        None => page.spans(&[(Tone::Faint, "    you")]),
    }
}
