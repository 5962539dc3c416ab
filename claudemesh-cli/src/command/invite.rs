//! `invite`: links by which others join.

use claudemesh_client::api::{Invite, InviteRequest};

use super::{Outcome, count, name_of, short, time};
use crate::app::App;
use crate::output::{Output, Tone};
use crate::{qr, value};

const EXAMPLES: &str = "\
Examples:
  claudemesh invite                                one person, seven days
  claudemesh invite --uses 5 --expires 12h
  claudemesh invite list
  claudemesh invite revoke 5d41a02b

The link is printed on a line of its own. Whoever has it can join: send it by a channel you trust.";

const LIST_EXAMPLES: &str = "Examples:\n  claudemesh invite list\n  claudemesh invite list --json";

const REVOKE_EXAMPLES: &str = "\
Examples:
  claudemesh invite revoke 5d41a02b
  claudemesh invite revoke 5d41a02b --mesh team

Who joined by it stays; `claudemesh member remove` removes a member.";

/// Make a link by which others join; list and revoke such links
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    create: Create,
}

/// Verbs of invites.
#[derive(clap::Subcommand)]
enum Verb {
    /// Make a link; what `invite` alone does
    #[command(after_help = EXAMPLES)]
    Create(Create),
    /// Show the invites of the mesh
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Close an invite
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke {
        /// The invite's id, or its first 8 digits
        #[arg(value_parser = value::filled)]
        id: String,
    },
}

/// Arguments of a new invite.
#[derive(clap::Args)]
struct Create {
    /// How many may join by it [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    uses: Option<u32>,
    /// How long it works, such as 12h [default: 7d]
    #[arg(long, value_name = "TIME", value_parser = value::seconds)]
    expires: Option<u64>,
    /// Role of those who join [default: member]
    #[arg(long, value_parser = ["member"])]
    role: Option<String>,
    /// Name proposed to the one who joins
    #[arg(long, value_name = "NAME", value_parser = value::filled)]
    name_hint: Option<String>,
}

impl Args {
    /// An option of a new invite before another verb, where it would be dropped. Clap could refuse these, but then the
    /// global flags with them.
    pub(crate) const fn stray(&self) -> Option<&'static str> {
        match (&self.verb, &self.create) {
            (None, _) => None,
            (_, Create { uses: Some(_), .. }) => Some("--uses"),
            (_, Create { expires: Some(_), .. }) => Some("--expires"),
            (_, Create { role: Some(_), .. }) => Some("--role"),
            (_, Create { name_hint: Some(_), .. }) => Some("--name-hint"),
            _ => None,
        }
    }

    /// Whether the answer is a list.
    pub(crate) const fn is_list(&self) -> bool {
        matches!(self.verb, Some(Verb::List))
    }
}

/// Creates, lists or closes.
pub(crate) async fn run(app: &mut App, args: Args) -> Outcome {
    match args.verb {
        None => create(app, args.create).await,
        Some(Verb::Create(args)) => create(app, args).await,
        Some(Verb::List) => list(app).await,
        Some(Verb::Revoke { id }) => {
            let invite = app.service().await?.invite_revoke(app.mesh(), &id).await?;
            app.output.show(&invite, |page| page.line(&format!("closed invite {}", short(&invite.id))))
        }
    }
}

async fn create(app: &mut App, args: Create) -> Outcome {
    let usual = InviteRequest::default();
    let request = InviteRequest {
        uses: args.uses.unwrap_or(usual.uses),
        expires_in: args.expires.unwrap_or(usual.expires_in),
        role: args.role.unwrap_or(usual.role),
        name_hint: args.name_hint,
    };
    let invite = app.service().await?.invite(app.mesh(), request).await?;
    show(&mut app.output, &invite)
}

/// The link alone on standard output, so that a script can take it; the rest beside it.
fn show(output: &mut Output, invite: &Invite) -> Outcome {
    let picture = output.out.terminal;
    output.show(invite, |page| {
        let Some(link) = &invite.link else { return };
        page.line(link);
        if picture {
            page.gap();
            qr::draw(page, link);
            page.gap();
        }
    })?;
    output.note(|page| {
        let uses = if invite.uses == 1 { "one person".to_owned() } else { count(invite.uses.into(), "person") };
        let uses = uses.replace("persons", "people");
        page.line(&format!("for {uses}, until {}; invite {}", time(&invite.expires_at), short(&invite.id)));
        page.line("whoever has the link can join: send it to nobody else");
        if let Some(warning) = &invite.warning {
            page.labelled(Tone::Warning, "warning", warning);
        }
    });
    Ok(())
}

async fn list(app: &mut App) -> Outcome {
    let invites = app.service().await?.invites(app.mesh()).await?;
    let rows: Vec<Vec<String>> = invites.invites.iter().map(row).collect();
    app.output.show(&invites, |page| page.table(&["ID", "STATE", "USED", "UNTIL", "ROLE", "BY"], &rows))?;
    if rows.is_empty() {
        app.output.note(|page| page.line("no invites: `claudemesh invite` makes one"));
    }
    Ok(())
}

fn row(invite: &Invite) -> Vec<String> {
    vec![
        short(&invite.id).into(),
        invite.state.clone(),
        format!("{} of {}", invite.used, invite.uses),
        time(&invite.expires_at),
        invite.role.clone(),
        name_of(&invite.by.name, &invite.by.id).into(),
    ]
}
