//! `peers`: who is in the mesh, and what they are doing.

use claudemesh_client::api::Peer;

use super::{Outcome, name_of, short, time, word};
use crate::app::App;
use crate::output::Page;

const EXAMPLES: &str = "\
Examples:
  claudemesh peers
  claudemesh peers --all --json
  claudemesh peers --mesh team

KEY addresses a member exactly, whatever its name: `claudemesh send KEY TEXT`.";

/// Show who is in the mesh
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Show removed members, too
    #[arg(long)]
    all: bool,
}

/// Verbs of peers.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Show who is in the mesh
    #[command(after_help = EXAMPLES)]
    List(Args),
}

/// Lists.
pub(crate) async fn run(app: &mut App, args: Args) -> Outcome {
    let peers = app.service().await?.peers(app.mesh(), args.all).await?;
    app.output.show(&peers, |page| show(page, &peers.peers))?;
    if peers.peers.iter().all(|peer| peer.own) {
        app.output.note(|page| page.line("nobody else is here yet: `claudemesh invite` makes a link"));
    }
    Ok(())
}

fn show(page: &mut Page, peers: &[Peer]) {
    let rows: Vec<Vec<String>> = peers.iter().map(row).collect();
    page.table(&["NAME", "KEY", "ROLE", "STATUS", "SUMMARY"], &rows);
}

fn row(peer: &Peer) -> Vec<String> {
    let own = if peer.own { " (you)" } else { "" };
    vec![
        format!("{}{own}", name_of(&peer.name, &peer.member)),
        short(&peer.member).into(),
        peer.role.clone(),
        presence(peer),
        peer.summary.clone().unwrap_or_default(),
    ]
}

/// A peer's state in a word or two.
pub(super) fn presence(peer: &Peer) -> String {
    match (&peer.last_seen, peer.live, peer.online) {
        (_, false, _) => "removed".into(),
        (_, true, true) => word(peer.status),
        (Some(seen), true, false) => format!("offline since {}", time(seen)),
        (None, true, false) => "offline".into(),
    }
}
