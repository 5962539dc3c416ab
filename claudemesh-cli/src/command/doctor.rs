//! `doctor`: what works, what does not, and what to do about it.

use claudemesh_client::Home;

use super::Outcome;
use crate::app::App;
use crate::doctor::{Diagnosis, Verdict, home, host};
use crate::host::claude::{Binary, Place};
use crate::output::{Page, Tone};
use crate::report::Failure;

const EXAMPLES: &str = "\
Examples:
  claudemesh doctor
  claudemesh doctor --json=name,verdict,fix

The exit code is 0 when nothing failed, else that of the first check that did: 6 when the daemon does not run or a \
broker is not connected, 7 for a version that does not fit, 8 for a home that cannot be written, and so on.";

/// Check that everything works together, and say how to mend what does not
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

/// Checks.
pub(crate) async fn run(app: &mut App, _: Args) -> Outcome {
    let (own, place) = (Home::from_env()?, Place::from_env()?);
    let mut checks = vec![home::home(&own)];
    let service = app.attached().await;
    checks.extend(home::daemon(service.as_deref()).await);
    checks.push(host::program(Binary::find().await.as_ref()));
    checks.extend(host::plugin(&own, &place));
    if let Ok(service) = &service {
        checks.extend(host::sessions(&**service).await);
    }
    let diagnosis = Diagnosis::of(checks);
    app.output.show(&diagnosis, |page| show(page, &diagnosis))?;
    match diagnosis.failure() {
        Some(kind) => Err(Failure::Shown(kind)),
        None => Ok(()),
    }
}

fn show(page: &mut Page, diagnosis: &Diagnosis) {
    for check in &diagnosis.checks {
        let (tone, verdict) = match check.verdict {
            Verdict::Ok => (Tone::Good, "ok     "),
            Verdict::Warning => (Tone::Warning, "warning"),
            Verdict::Failed => (Tone::Bad, "failed "),
            Verdict::Skipped => (Tone::Faint, "skipped"),
        };
        page.spans(&[
            (tone, verdict),
            (Tone::Plain, "  "),
            (Tone::Strong, &check.name),
            (Tone::Plain, ": "),
            (Tone::Plain, &check.message),
        ]);
        if let Some(fix) = &check.fix {
            page.spans(&[(Tone::Plain, "         "), (Tone::Faint, "fix: "), (Tone::Plain, fix)]);
        }
    }
}
