//! `down`: stops the daemon and the broker inside it.

use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::app::App;

/// The result.
#[derive(Serialize, Deserialize)]
pub(crate) struct Stopped {
    /// Always true: that nothing ran is no error.
    stopped: bool,
}

/// Stops; that nothing ran is no error.
pub(crate) async fn run(app: &mut App) -> Outcome {
    app.stop().await?;
    app.output.show(&Stopped { stopped: true }, |page| page.line("stopped"))
}
