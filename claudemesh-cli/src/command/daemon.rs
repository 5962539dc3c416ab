//! `daemon`: the daemon itself, started on demand by the other verbs.

use super::Outcome;
use crate::app::App;
use crate::daemon::run_daemon;

/// Serves until a signal or a request asks it to stop.
pub(crate) async fn run(app: &App) -> Outcome {
    let stop = app.interrupted()?;
    Ok(run_daemon(&app.global, stop).await?)
}
