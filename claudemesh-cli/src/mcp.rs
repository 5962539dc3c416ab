//! The MCP server of one session: a frontend of the home's daemon. It registers the session, writes the notices it is given
//! to the session, and turns tools into calls. What is handed over, to whom and when, the daemon decides.

pub(crate) mod environment;
mod flush;
mod inbox;
mod link;
mod push;
mod server;
mod socket;
mod text;
mod tools;
mod verb;

use std::sync::Arc;

use claudemesh_client::{Error, ErrorKind};
use futures_util::future::BoxFuture;
use rmcp::ServiceExt;

use crate::args::Global;
use crate::command::mcp::Args;
use flush::Flushing;
use link::Link;
use server::Server;

/// Which tools a session is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Tools {
    /// None: messages are told of, nothing more
    None,
    /// Send, read, and who is there
    Core,
    /// All of them
    All,
}

/// Serves a session on standard input and output until either ends, or `stop` does.
///
/// # Errors
/// [`ErrorKind::Usage`] when what is on the other side speaks no MCP.
pub(crate) async fn serve(global: Global, args: Args, stop: BoxFuture<'static, ()>) -> Result<(), Error> {
    let Args { name, tools, channel } = args;
    let name = name.or_else(|| global.session());
    let link = Arc::new(Link::new(global, name));
    let (output, written) = Flushing::new(tokio::io::stdout());
    let server = Server::new(Arc::clone(&link), tools, written);
    let beginning = server.serve((tokio::io::stdin(), output));
    tokio::pin!(stop);
    let service = tokio::select! {
        service = beginning => match service {
            Ok(service) => service,
            // The host went away before it said anything.
            Err(error) if is_closed(&error) => return Ok(()),
            Err(error) => {
                return Err(Error::new(ErrorKind::Usage, "standard input does not speak MCP")
                    .with_hint("a host starts `claudemesh mcp`: see `claudemesh mcp --help`")
                    .with_source(error));
            }
        },
        () = &mut stop => return Ok(()),
    };
    let pushing = tokio::spawn(push::run(Arc::clone(&link), service.peer().clone(), channel));
    let cancel = service.cancellation_token();
    let waiting = service.waiting();
    tokio::pin!(waiting);
    tokio::select! {
        _ = &mut waiting => {}
        () = stop => {
            cancel.cancel();
            let _ = waiting.await;
        }
    }
    pushing.abort();
    Ok(())
}

fn is_closed(error: &rmcp::service::ServerInitializeError) -> bool {
    matches!(error, rmcp::service::ServerInitializeError::ConnectionClosed(_))
}
