//! What the environment says of the host. Only names of variables live here; what they mean for a session is decided elsewhere.

use std::os::unix::process::parent_id;
use std::path::PathBuf;

use claudemesh_client::api::HostRef;

/// The host this integration is for.
const HOST: &str = "claude-code";

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The host that started this process.
pub(crate) fn host() -> HostRef {
    let folder = || std::env::current_dir().ok().map(|folder| folder.display().to_string());
    HostRef {
        host: HOST.into(),
        id: variable("CLAUDE_CODE_SESSION_ID"),
        pid: variable("CLAUDE_PID").and_then(|pid| pid.parse().ok()),
        socket: variable("CLAUDE_CODE_MESSAGING_SOCKET"),
        cwd: variable("CLAUDE_PROJECT_DIR").or_else(folder),
    }
}

/// The host whose child this process is.
pub(crate) fn parent() -> HostRef {
    let host = host();
    HostRef { pid: host.pid.or_else(|| Some(parent_id())), ..host }
}

/// The session's socket, and what opens it.
pub(crate) fn messaging() -> Option<(PathBuf, Option<String>)> {
    let socket = variable("CLAUDE_CODE_MESSAGING_SOCKET")?;
    Some((socket.into(), variable("CLAUDE_CODE_MESSAGING_TOKEN")))
}
