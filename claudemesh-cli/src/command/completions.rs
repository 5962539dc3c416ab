//! `completions`: a script for the shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Outcome;
use crate::app::App;
use crate::args::Cli;
use crate::report::Failure;

const EXAMPLES: &str = "\
Examples:
  claudemesh completions bash > ~/.local/share/bash-completion/completions/claudemesh
  claudemesh completions zsh > ~/.zfunc/_claudemesh
  claudemesh completions fish > ~/.config/fish/completions/claudemesh.fish";

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(app: &mut App, args: Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "claudemesh", &mut script);
    let script = String::from_utf8(script).map_err(|error| {
        let failure = claudemesh_client::Error::new(claudemesh_client::ErrorKind::Internal, "the script is not text");
        Failure::from(failure.with_source(error))
    })?;
    app.output.print(&script)
}
