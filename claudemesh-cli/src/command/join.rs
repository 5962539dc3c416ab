//! `join`: joins a mesh by a link.

use claudemesh_client::api::JoinRequest;
use claudemesh_client::{Error, ErrorKind};

use super::{Outcome, who};
use crate::app::App;
use crate::output::Tone;
use crate::spinner::patiently;
use crate::{stdin, value};

/// More than any link has.
const LONGEST: usize = 8 * 1024;

const EXAMPLES: &str = "\
Examples:
  claudemesh 'https://mesh.example.org/i#…'            the same as join
  claudemesh join 'https://mesh.example.org/i#…' --name bob
  pbpaste | claudemesh join -                           keeps the link out of the shell's history

With --mesh, the mesh gets that label here; else the one its founder gave it.";

/// Join a mesh by a link; `claudemesh LINK` does the same
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The link, or - to read it from standard input
    #[arg(value_name = "LINK|-", value_parser = value::filled)]
    link: String,
    /// Your name in the mesh [default: the one the invite proposes]
    #[arg(long, value_parser = value::filled)]
    name: Option<String>,
    /// Permit ws:// to another machine: whoever listens on the way sees who talks to whom, not what
    #[arg(long)]
    insecure_ws: bool,
}

/// Joins.
pub(crate) async fn run(app: &mut App, args: Args) -> Outcome {
    let link = if args.link == "-" { read(app)? } else { args.link };
    let request = JoinRequest { link, name: args.name, label: app.global.mesh.clone(), insecure_ws: args.insecure_ws };
    let service = app.service().await?;
    let reply = patiently(&app.output, "joining", service.join(request)).await?;
    app.output.show(&reply, |page| {
        page.spans(&[(Tone::Plain, "joined "), (Tone::Strong, &reply.mesh.label)]);
        let inviter = reply.invited_by.as_ref().map(who);
        let you = who(&reply.member);
        let mut fields = vec![("you", you.as_str())];
        fields.extend(inviter.as_deref().map(|inviter| ("invited by", inviter)));
        page.fields(&fields);
    })?;
    app.output.note(|page| {
        page.gap();
        page.line("next: `claudemesh peers` shows who is here, `claudemesh send NAME TEXT` writes to them");
    });
    Ok(())
}

fn read(app: &mut App) -> Result<String, Error> {
    if app.input.terminal {
        app.output.note(|page| page.line("paste the link, then press Enter"));
    }
    let text = stdin::line(app, LONGEST)?;
    let link = text.trim();
    if link.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "there is no link on standard input")
            .with_hint("pipe the whole link in, as `claudemesh invite` printed it"));
    }
    Ok(link.to_owned())
}
