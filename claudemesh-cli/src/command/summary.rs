//! `summary`: what peers see you are working on.

use claudemesh_client::api::PresenceRequest;

use super::Outcome;
use crate::app::App;
use crate::output::Tone;

const EXAMPLES: &str = "\
Examples:
  claudemesh summary \"fixing the parser\"
  claudemesh summary --clear";

/// Tell peers what you are working on
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// One line, 280 bytes at most
    #[arg(required_unless_present = "clear", conflicts_with = "clear", value_parser = crate::value::filled)]
    text: Option<String>,
    /// Take the summary away
    #[arg(long)]
    clear: bool,
}

/// Sets the summary.
pub(crate) async fn run(app: &mut App, args: Args) -> Outcome {
    // Empty text clears.
    let summary = Some(args.text.unwrap_or_default());
    let request = PresenceRequest { summary, session: app.global.session(), status: None };
    let me = app.service().await?.set_presence(app.mesh(), request).await?;
    app.output.show(&me, |page| match &me.summary {
        Some(summary) => page.labelled(Tone::Plain, "peers see", summary),
        None => page.line("the summary is gone"),
    })
}
