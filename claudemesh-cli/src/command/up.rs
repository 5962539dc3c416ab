//! `up`: makes a mesh the first time, brings it back afterwards.

use claudemesh_client::api::{UpReply, UpRequest};

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

The first run makes your identity and the mesh, and shows a recovery key once. Later runs resume it. \
With --mesh, the mesh of that label is made or resumed.";

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
        return show(&mut app.output, &reply);
    }
    let stop = app.interrupted()?;
    let running = app.host().await?;
    let result = match running.service.up(request).await {
        Ok(reply) => {
            app.warn_of(&*running.service).await;
            show(&mut app.output, &reply)
        }
        Err(error) => Err(error.into()),
    };
    // Without a mesh there is nothing to stay for. It stops in order all the same.
    let stop = if result.is_ok() { stop } else { Box::pin(std::future::ready(())) };
    let served = (running.serve)(stop).await;
    result.and(served.map_err(Into::into))
}

fn show(output: &mut Output, reply: &UpReply) -> Outcome {
    output.show(reply, |page| page_for(page, reply))
}

fn page_for(page: &mut Page, reply: &UpReply) {
    let what = if reply.created { "made, and up" } else { "up" };
    page.spans(&[(Tone::Strong, &reply.mesh.label), (Tone::Plain, " is "), (Tone::Good, what)]);
    page.fields(&[
        ("mesh", &format!("{} ({})", reply.mesh.label, short(&reply.mesh.id))),
        ("you", &who(&reply.member)),
        ("broker", &reply.broker),
    ]);
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
