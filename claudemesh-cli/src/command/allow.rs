//! `allow`: who may write to sessions that do everything without asking their user.

use claudemesh_client::api::PermitRequest;

use super::{Outcome, who};
use crate::app::App;
use crate::value;

const EXAMPLES: &str = "\
Examples:
  claudemesh allow                 who may
  claudemesh allow bob
  claudemesh allow bob --revoke

A session that runs without asking its user for permission does not get messages of others until you allow it, member by \
member; they wait, and their senders see why.";

/// Let a member's messages reach sessions that ask you for nothing
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The member, by name or key
    #[arg(value_name = "MEMBER", value_parser = value::filled)]
    member: Option<String>,
    /// Allow it no longer
    #[arg(long, requires = "member")]
    revoke: bool,
}

/// Allows, and lists.
pub(crate) async fn run(app: &mut App, args: Args) -> Outcome {
    let request = PermitRequest { member: args.member, revoke: args.revoke };
    let permits = app.service().await?.session_permit(app.mesh(), request).await?;
    app.output.show(&permits, |page| permits.members.iter().for_each(|member| page.line(&who(member))))?;
    if permits.members.is_empty() {
        app.output.note(|page| page.line("nobody is allowed"));
    }
    Ok(())
}
