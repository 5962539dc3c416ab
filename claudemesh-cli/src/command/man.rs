//! `man`: the manual pages.

use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_mangen::Man;
use claudemesh_client::{Error, ErrorKind};

use super::Outcome;
use crate::app::App;
use crate::args::Cli;

const EXAMPLES: &str = "\
Examples:
  claudemesh man | man -l -
  claudemesh man --dir ~/.local/share/man/man1";

/// Print the manual page, or write one for every verb
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Folder to write the pages of all verbs to, made if it is missing
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the page, or writes the pages.
pub(crate) fn run(app: &mut App, args: Args) -> Outcome {
    // `help` repeats every verb: no page of its own.
    let command = Cli::command().disable_help_subcommand(true);
    match args.dir {
        Some(dir) => Ok(write(command, &dir).map_err(|error| {
            Error::new(ErrorKind::Unwritable, format!("the pages cannot be written to {}", dir.display()))
                .with_hint("name a folder of yours, on a disk with room")
                .with_source(error)
        })?),
        None => {
            let mut page = Vec::new();
            let written = Man::new(command).render(&mut page);
            let text = written.and_then(|()| String::from_utf8(page).map_err(io::Error::other));
            let text =
                text.map_err(|error| Error::new(ErrorKind::Internal, "the page is not text").with_source(error))?;
            app.output.print(&text)
        }
    }
}

fn write(command: clap::Command, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(command, dir)
}
