//! `up`: makes a mesh the first time, brings it back afterwards.

use claudemesh_client::api::{TemplateApplied, TemplateApply, UpReply, UpRequest};
use claudemesh_client::service::Service;

use super::{Outcome, short, who};
use crate::app::App;
use crate::output::{Output, Page, Tone};
use crate::spinner::patiently;
use crate::value;

const EXAMPLES: &str = "\
Examples:
  claudemesh up --name alice                          a mesh with a broker on this machine
  claudemesh up --listen 0.0.0.0:7900 --advertise wss://mesh.example.org
  claudemesh up --mesh team --broker wss://mesh.example.org
  claudemesh up --mesh team --template dev-team       with groups, topics, state and hints to start with

The first run makes your identity and the mesh, and shows a recovery key once. Later runs resume it. \
With --mesh, the mesh of that label is made or resumed. A template adds what is not there yet and changes \
nothing that is; `claudemesh status` shows its hints.";

/// Make a mesh, or bring it back
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Your name in a new mesh
    #[arg(long, value_parser = value::filled)]
    name: Option<String>,
    /// Use a broker elsewhere, ws:// or wss://
    #[arg(long, value_name = "URL", conflicts_with_all = ["listen", "advertise"], value_parser = value::broker)]
    broker: Option<String>,
    /// Where the broker on this machine listens [default: 127.0.0.1:7900; port 0: any free one, then kept]
    #[arg(long, value_name = "ADDR", value_parser = value::listen)]
    listen: Option<String>,
    /// The address others reach that broker by
    #[arg(long, value_name = "URL", value_parser = value::broker)]
    advertise: Option<String>,
    /// Permit ws:// to another machine: whoever listens on the way sees who talks to whom, not what
    #[arg(long)]
    insecure_ws: bool,
    /// Give the mesh what this template has: groups, topics, state, hints on its use
    #[arg(long, value_name = "NAME", value_parser = value::template())]
    template: Option<String>,
    /// Stay in the foreground as the daemon, until SIGINT or SIGTERM
    #[arg(long)]
    pub(crate) foreground: bool,
}

/// Makes or resumes the mesh.
pub(crate) async fn run(app: &mut App, args: Args) -> Outcome {
    let request = UpRequest {
        mesh: app.global.mesh.clone(),
        name: args.name,
        broker: args.broker,
        listen: args.listen,
        advertise: args.advertise,
        insecure_ws: args.insecure_ws,
    };
    if !args.foreground {
        let service = app.service().await?;
        let reply = patiently(&app.output, "bringing the mesh up", service.up(request)).await?;
        return finish(app, &*service, reply, args.template).await;
    }
    let stop = app.interrupted()?;
    let running = app.host().await?;
    let result = match running.service.up(request).await {
        Ok(reply) => {
            app.warn_of(&*running.service).await;
            finish(app, &*running.service, reply, args.template).await
        }
        Err(error) => Err(error.into()),
    };
    // Without a mesh there is nothing to stay for. It stops in order all the same.
    let stop = if result.is_ok() { stop } else { Box::pin(std::future::ready(())) };
    let served = (running.serve)(stop).await;
    result.and(served.map_err(Into::into))
}

/// Applies the template and shows what there is now. A recovery key is shown whatever becomes of the template.
async fn finish(app: &mut App, service: &dyn Service, mut reply: UpReply, template: Option<String>) -> Outcome {
    if let Some(template) = template {
        let applied = service.template(Some(&reply.mesh.id), TemplateApply { template });
        match patiently(&app.output, "applying the template", applied).await {
            Ok(applied) => reply.template = Some(applied),
            Err(error) if reply.created => {
                show(&mut app.output, &reply)?;
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    show(&mut app.output, &reply)
}

fn show(output: &mut Output, reply: &UpReply) -> Outcome {
    output.show(reply, |page| page_for(page, reply))
}

/// What a template has given to the mesh, in a line.
fn given(applied: &TemplateApplied) -> String {
    let kinds = [("groups", &applied.groups), ("topics", &applied.topics), ("state", &applied.state)];
    let made = kinds.into_iter().filter(|(_, names)| !names.is_empty());
    let made: Vec<String> = made.map(|(kind, names)| format!("{kind} {}", names.join(", "))).collect();
    let made =
        if made.is_empty() { "there already, nothing changed".into() } else { format!("made {}", made.join("; ")) };
    format!("{}: {made}", applied.template)
}

fn page_for(page: &mut Page, reply: &UpReply) {
    let what = if reply.created { "made, and up" } else { "up" };
    page.spans(&[(Tone::Strong, &reply.mesh.label), (Tone::Plain, " is "), (Tone::Good, what)]);
    let mut fields = vec![
        ("mesh", format!("{} ({})", reply.mesh.label, short(&reply.mesh.id))),
        ("you", who(&reply.member)),
        ("broker", reply.broker.clone()),
    ];
    fields.extend(reply.template.as_ref().map(|applied| ("template", given(applied))));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    page.fields(&fields);
    if let Some(link) = &reply.link {
        page.gap();
        page.line("A link for the next person. Whoever has it can join: send it to nobody else.");
        page.gap();
        page.line(link);
        page.gap();
        page.line("They run: claudemesh join - (then paste it), or claudemesh 'LINK'");
    }
    if let Some(key) = &reply.recovery_key {
        page.gap();
        page.labelled(
            Tone::Warning,
            "recovery key",
            "shown this once. Store it away from this machine, such as in a password manager.\n\
             Whoever has it can take the mesh over; without it a lost owner cannot be replaced.",
        );
        page.gap();
        page.spans(&[(Tone::Plain, "  "), (Tone::Strong, key)]);
    }
}
