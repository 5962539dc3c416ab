//! `message status`: how far a message has got, for every recipient.

use claudemesh_client::api::MessageStatus;

use super::{Outcome, inbox, send, short, time, who, word};
use crate::app::App;
use crate::output::{Page, Tone};
use crate::value;

const EXAMPLES: &str = "\
Examples:
  claudemesh message status 0190c2f4-7e51-7abc-8def-0123456789ab
  claudemesh message status 0190c2f4-7e51-7abc-8def-0123456789ab --json

States, in order: queued (on this disk), accepted (on the broker's), delivered (on the recipient's), \
injected (in its session), read. Or: held, expired, refused, with a reason.";

/// Verbs of messages.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Show how far a message has got
    #[command(after_help = EXAMPLES)]
    Status(Args),
    Send(send::Args),
    Inbox(inbox::Args),
}

/// Arguments of `message status`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The message's id
    #[arg(value_name = "ID", value_parser = value::message_id)]
    id: String,
}

/// Shows the status.
pub(crate) async fn run(app: &mut App, args: Args) -> Outcome {
    let status = app.service().await?.message_status(app.mesh(), &args.id).await?;
    app.output.show(&status, |page| show(page, &status))
}

fn show(page: &mut Page, status: &MessageStatus) {
    page.spans(&[(send::tone(status.state), &word(status.state)), (Tone::Plain, "  "), (Tone::Faint, &status.id)]);
    let rows: Vec<Vec<String>> = status
        .recipients
        .iter()
        .map(|recipient| {
            vec![
                who(&recipient.member),
                short(&recipient.device).into(),
                word(recipient.state),
                time(&recipient.at),
                recipient.reason.clone().unwrap_or_default(),
            ]
        })
        .collect();
    page.table(&["TO", "DEVICE", "STATE", "SINCE", "REASON"], &rows);
}
