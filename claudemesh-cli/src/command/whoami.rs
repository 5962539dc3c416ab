//! `whoami`: who this home is in a mesh.

use claudemesh_client::api::WhoAmI;

use super::{Outcome, short, who, word};
use crate::app::App;
use crate::output::Page;

/// Shows the own member, device and presence.
pub(crate) async fn run(app: &mut App) -> Outcome {
    let me = app.service().await?.whoami(app.mesh()).await?;
    app.output.show(&me, |page| show(page, &me))
}

/// Who you are, for a reader.
pub(super) fn show(page: &mut Page, me: &WhoAmI) {
    let broker = format!("{} ({})", me.broker, if me.connected { "connected" } else { "not connected" });
    page.fields(&[
        ("you", &who(&me.member)),
        ("role", &me.role),
        ("mesh", &format!("{} ({})", me.mesh.label, short(&me.mesh.id))),
        ("device", short(&me.device)),
        ("status", &word(me.status)),
        ("summary", me.summary.as_deref().unwrap_or("none")),
        ("broker", &broker),
    ]);
}
