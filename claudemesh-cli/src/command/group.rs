//! `group`: labels on members, by which several are addressed at once.

use claudemesh_client::api::{Group, GroupChange, GroupQuery};

use super::{Outcome, name_of, short};
use crate::app::App;
use crate::spinner::patiently;
use crate::value;

const JOIN_EXAMPLES: &str = "\
Examples:
  claudemesh group join @backend
  claudemesh group join @backend/api --role reviewer
  claudemesh group join @backend --member bob          for admins

`claudemesh send @backend TEXT` reaches the group and every group below it. @all is everyone, always.";

const LEAVE_EXAMPLES: &str = "\
Examples:
  claudemesh group leave @backend
  claudemesh group leave @backend --member bob         for admins";

const LIST_EXAMPLES: &str = "\
Examples:
  claudemesh group list
  claudemesh group list @backend                       with the groups below it
  claudemesh group list --json";

/// Verbs of groups.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    Join(Join),
    Leave(Leave),
    List(List),
}

/// Join a group
#[derive(clap::Args)]
#[command(after_help = JOIN_EXAMPLES)]
pub(crate) struct Join {
    /// The group: names separated by /, with or without @
    #[arg(value_name = "GROUP", value_parser = value::filled)]
    group: String,
    /// What the member does there, 64 bytes at most
    #[arg(long, value_name = "TEXT", value_parser = value::filled)]
    role: Option<String>,
    /// Somebody else: name, or 8 digits of the key
    #[arg(long, value_name = "NAME", value_parser = value::filled)]
    member: Option<String>,
}

/// Leave a group
#[derive(clap::Args)]
#[command(after_help = LEAVE_EXAMPLES)]
pub(crate) struct Leave {
    /// The group: names separated by /, with or without @
    #[arg(value_name = "GROUP", value_parser = value::filled)]
    group: String,
    /// Somebody else: name, or 8 digits of the key
    #[arg(long, value_name = "NAME", value_parser = value::filled)]
    member: Option<String>,
}

/// Show groups and who is in them
#[derive(clap::Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct List {
    /// Only this group and those below it
    #[arg(value_name = "GROUP", value_parser = value::filled)]
    group: Option<String>,
}

/// Joins, leaves or lists.
pub(crate) async fn run(app: &mut App, verb: Verb) -> Outcome {
    match verb {
        Verb::Join(Join { group, role, member }) => {
            let who = member.clone().unwrap_or_else(|| "you".into());
            let service = app.service().await?;
            let joined = service.group_join(app.mesh(), GroupChange { group, role, member });
            let group = patiently(&app.output, "telling the others", joined).await?;
            app.output
                .show(&group, |page| page.line(&format!("joined @{}: {who}; {}", group.group, population(&group))))
        }
        Verb::Leave(Leave { group, member }) => {
            let who = member.clone().unwrap_or_else(|| "you".into());
            let service = app.service().await?;
            let left = service.group_leave(app.mesh(), GroupChange { group, role: None, member });
            let group = patiently(&app.output, "telling the others", left).await?;
            app.output.show(&group, |page| page.line(&format!("left @{}: {who}; {}", group.group, population(&group))))
        }
        Verb::List(args) => list(app, args).await,
    }
}

async fn list(app: &mut App, args: List) -> Outcome {
    let groups = app.service().await?.groups(app.mesh(), GroupQuery { group: args.group }).await?;
    let rows: Vec<Vec<String>> = groups.groups.iter().flat_map(rows).collect();
    app.output.show(&groups, |page| page.table(&["GROUP", "MEMBER", "KEY", "ROLE"], &rows))?;
    if rows.is_empty() {
        app.output.note(|page| page.line("no groups: `claudemesh group join @NAME` makes one"));
    }
    Ok(())
}

fn rows(group: &Group) -> impl Iterator<Item = Vec<String>> {
    group.members.iter().map(|one| {
        vec![
            format!("@{}", group.group),
            name_of(&one.member.name, &one.member.id).into(),
            short(&one.member.id).into(),
            one.role.clone().unwrap_or_default(),
        ]
    })
}

fn population(group: &Group) -> String {
    super::count(group.members.len() as u64, "member")
}
