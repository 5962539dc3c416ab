//! `broker run`: a broker on its own.

use std::path::PathBuf;

use super::Outcome;
use crate::app::App;
use crate::{broker, value};

const EXAMPLES: &str = "\
Examples:
  claudemesh broker run --listen 0.0.0.0:7900 --data /var/lib/claudemesh
  claudemesh broker run --listen 127.0.0.1:0 --data ./broker

Logs go to standard error; CLAUDEMESH_LOG=debug says more. /health and /health/ready answer on the same \
address. The broker sees sealed messages only: it cannot read, name or forge one.";

/// Verbs of brokers.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Run a broker until SIGINT or SIGTERM
    #[command(after_help = EXAMPLES)]
    Run(Args),
}

/// Arguments of `broker run`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Address to listen on, such as 0.0.0.0:7900
    #[arg(long, value_name = "ADDR", value_parser = value::listen)]
    pub(crate) listen: String,
    /// Folder for the broker's key and its messages
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

/// Serves until a signal.
pub(crate) async fn run(app: &App, verb: Verb) -> Outcome {
    let Verb::Run(args) = verb;
    let stop = app.interrupted()?;
    Ok(broker::run(&args.listen, &args.data, stop).await?)
}
