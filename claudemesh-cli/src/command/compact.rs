//! `compact`: what nobody needs any more leaves the broker.

use claudemesh_client::api::Compact;

use super::{Outcome, Scope};
use crate::app::App;
use crate::spinner::patiently;

const EXAMPLES: &str = "\
Examples:
  claudemesh compact                    what belongs to the whole mesh
  claudemesh compact --topic builds

For admins and owners, whose daemons do it by themselves about once a day. It drops values that were set anew, what was \
refused or forgotten, and posts past their topic's retention; what anybody can still see stays.";

/// Drop what nobody needs any more
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    scope: Scope,
}

/// Compacts.
pub(crate) async fn run(app: &mut App, args: Args) -> Outcome {
    let service = app.service().await?;
    let request = Compact { topic: args.scope.topic };
    let done = patiently(&app.output, "compacting", service.compact(app.mesh(), request)).await?;
    let entries = if done.dropped == 1 { "entry" } else { "entries" };
    app.output.show(&done, |page| page.line(&format!("dropped {} {entries}", done.dropped)))
}
