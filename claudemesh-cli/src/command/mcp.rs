//! `mcp`: the MCP server of one session.

use super::Outcome;
use crate::app::App;
use crate::mcp::{self, Tools};

const EXAMPLES: &str = "\
Examples:
  claudemesh mcp
  claudemesh mcp --name api --tools core
  claude mcp add mesh -- claudemesh mcp

The host starts it, one for each session, and speaks MCP to it on standard input and output. It registers the session, \
tells it of messages, and answers its tools.";

/// Serve a session over MCP, so that messages reach it; started by its host
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Name of the session in addresses [default: that of the folder]
    #[arg(long, value_name = "NAME", value_parser = crate::value::filled)]
    pub(crate) name: Option<String>,
    /// Which tools it offers
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Tools::All)]
    pub(crate) tools: Tools,
    /// Where the session's socket cannot be used, send channel notifications; the host must have been started for them
    #[arg(long)]
    pub(crate) channel: bool,
}

/// Serves until the host closes or interrupts it.
pub(crate) async fn run(app: &mut App, args: Args) -> Outcome {
    let stop = app.interrupted()?;
    Ok(mcp::serve(app.global.clone(), args, stop).await?)
}
