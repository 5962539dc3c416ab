//! What the verbs share that print items as they come, until interrupted.

use claudemesh_client::{Error, ErrorKind};
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};
use serde::Serialize;

use super::Outcome;
use crate::app::App;
use crate::output::Page;

/// Prints each item, as a JSON object on a line or for a reader.
pub(super) async fn follow<T: Serialize>(
    app: &mut App,
    mut interrupted: BoxFuture<'static, ()>,
    mut items: impl Stream<Item = Result<T, Error>> + Unpin,
    show: impl Fn(&mut Page, &T),
) -> Outcome {
    if app.output.out.terminal {
        app.output.note(|page| page.line("following; Ctrl-C ends it"));
    }
    loop {
        let item = tokio::select! {
            biased;
            item = items.next() => item,
            () = &mut interrupted => return Ok(()),
        };
        let item = item.unwrap_or_else(|| Err(Error::new(ErrorKind::Unreachable, "the daemon ended the stream")))?;
        app.output.show(&item, |page| show(page, &item))?;
    }
}
