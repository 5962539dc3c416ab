//! Logs of the verbs that run a server. The others write none.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// The environment variable with the filter, such as `debug` or `claudemesh_broker=debug`.
const FILTER: &str = "CLAUDEMESH_LOG";

/// Sends logs to standard error, as JSON when results are.
pub(crate) fn start(json: bool) {
    let filter = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Fails only when logs go somewhere already.
    let _ = if json { logs.json().try_init() } else { logs.with_ansi(io::stderr().is_terminal()).try_init() };
}
