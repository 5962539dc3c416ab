//! `status`: the daemon and every mesh; `status set`: what peers see you are doing.

use claudemesh_client::api::{Activity, MeshStatus, PresenceRequest, Status};

use super::{Outcome, connection, count, incomplete, who, word};
use crate::app::App;
use crate::output::{Page, Tone};

const EXAMPLES: &str = "\
Examples:
  claudemesh status                 the daemon and every mesh
  claudemesh status --json
  claudemesh status set working     what peers see you are doing";

const SET_EXAMPLES: &str = "\
Examples:
  claudemesh status set working
  claudemesh status set dnd --mesh team
  claudemesh status set dnd --session api    of one session only
  claudemesh summary \"fixing the parser\"     says more";

/// Show the daemon and every mesh; with `set`, tell peers what you are doing
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// Verbs of the own status.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Tell peers what you are doing
    #[command(after_help = SET_EXAMPLES)]
    Set {
        /// What
        status: Choice,
    },
}

/// What a session can be doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Choice {
    /// Nothing
    Idle,
    /// At work
    Working,
    /// Waiting for somebody
    Blocked,
    /// Not to be interrupted
    Dnd,
}

impl From<Choice> for Activity {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Idle => Self::Idle,
            Choice::Working => Self::Working,
            Choice::Blocked => Self::Blocked,
            Choice::Dnd => Self::Dnd,
        }
    }
}

/// Shows or sets.
pub(crate) async fn run(app: &mut App, args: Args) -> Outcome {
    let service = app.service().await?;
    if let Some(Verb::Set { status }) = args.verb {
        let request = PresenceRequest { status: Some(status.into()), session: app.global.session(), summary: None };
        let me = service.set_presence(app.mesh(), request).await?;
        return app.output.show(&me, |page| page.labelled(Tone::Plain, "peers see", &word(me.status)));
    }
    let status = service.status().await?;
    app.output.show(&status, |page| show(page, &status))
}

fn show(page: &mut Page, status: &Status) {
    page.fields(&[
        ("daemon", &format!("{}, process {}", status.version, status.pid)),
        ("home", &status.home),
        ("own broker", status.embedded_broker.as_deref().unwrap_or("none")),
    ]);
    for mesh in &status.meshes {
        page.gap();
        show_mesh(page, mesh);
    }
    if status.meshes.is_empty() {
        page.gap();
        page.line("no mesh yet: make one with `claudemesh up`, or join one with `claudemesh LINK`");
    }
}

fn show_mesh(page: &mut Page, status: &MeshStatus) {
    let mesh = &status.mesh;
    let selected = if mesh.selected { "  selected" } else { "" };
    page.spans(&[(Tone::Strong, &mesh.label), (Tone::Faint, selected)]);
    let round_trip = status.round_trip_ms.map(|ms| format!(", {ms:.1} ms")).unwrap_or_default();
    let mut fields = vec![
        ("you", format!("{}, {}", who(&mesh.member), mesh.role)),
        ("broker", format!("{}, {}{round_trip}", mesh.broker, connection(mesh))),
        ("members", mesh.members.to_string()),
        ("unread", count(status.unread, "message")),
        ("to send", count(status.queued, "message")),
    ];
    if status.writing > 0 {
        fields.push(("to write", count(status.writing, "change")));
    }
    if status.held > 0 {
        fields.push(("held", count(status.held, "message")));
    }
    if mesh.state != "active" {
        fields.push(("state", mesh.state.clone()));
    }
    if let Some(hints) = &status.hints {
        fields.push(("hints", hints.clone()));
    }
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    page.fields(&fields);
    if let Some(error) = &status.last_error {
        page.labelled(Tone::Warning, "not connected", error);
    }
    for warning in &status.warnings {
        page.labelled(Tone::Warning, "warning", warning);
    }
    for missing in &status.missing {
        let whose = missing.topic.as_ref().map_or_else(|| "the whole mesh".into(), |topic| format!("#{topic}"));
        incomplete(page, &whose, &missing.epochs);
    }
}
