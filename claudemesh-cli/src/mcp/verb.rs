//! The tool `mesh`: a read-only verb of the command line, run as in a shell.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use claudemesh_client::{Error, ErrorKind};
use serde_json::Value;
use tokio::process::Command;

use crate::args;

/// How long a verb may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a read-only verb; what it answers as JSON, or its error.
///
/// # Errors
/// The verb is unknown, would change something or wait, or does not run.
pub(super) async fn run(mesh: Option<&str>, arguments: Vec<String>) -> Result<Result<Value, Value>, Error> {
    let arguments = permitted(mesh, arguments)?;
    let failed = |error: std::io::Error| Error::new(ErrorKind::Internal, "the verb does not run").with_source(error);
    let own = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(own);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output
        .map_err(|_| Error::new(ErrorKind::Timeout, "the verb took too long").with_hint("ask for less at once"))?
        .map_err(failed)?;
    let parsed = |bytes: &[u8]| {
        let text = || Value::String(String::from_utf8_lossy(bytes).into_owned());
        serde_json::from_slice(bytes).unwrap_or_else(|_| text())
    };
    Ok(if output.status.success() { Ok(parsed(&output.stdout)) } else { Err(parsed(&output.stderr)) })
}

/// The whole command line of a verb that reads.
fn permitted(mesh: Option<&str>, arguments: Vec<String>) -> Result<Vec<String>, Error> {
    let parse = |arguments: &[String]| {
        args::parse(std::iter::once("claudemesh").chain(arguments.iter().map(String::as_str)).map(OsString::from))
    };
    let given = [arguments, vec!["--json".to_owned()]].concat();
    let cli = parse(&given).map_err(|error| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default().to_owned();
        Error::new(ErrorKind::Usage, line).with_hint("see `claudemesh --help`")
    })?;
    if !cli.command.is_reading() {
        return Err(Error::new(ErrorKind::Refused, "this tool runs only verbs that read, and do not wait")
            .with_hint("ask your user to run it in a shell"));
    }
    let in_mesh = mesh.map(|mesh| [given.as_slice(), &["--mesh".to_owned(), mesh.to_owned()]].concat());
    // Some verbs are about all meshes.
    Ok(in_mesh.filter(|line| cli.global.mesh.is_none() && parse(line).is_ok()).unwrap_or(given))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(line: &str) -> Result<String, ErrorKind> {
        let arguments = line.split(' ').map(str::to_owned).collect();
        permitted(Some("team"), arguments).map(|line| line.join(" ")).map_err(|error| error.kind())
    }

    #[test]
    fn verbs_that_read_are_run() {
        assert_eq!(kind("peers"), Ok("peers --json --mesh team".into()));
        assert_eq!(kind("peers --mesh other"), Ok("peers --mesh other --json".into()));
        assert_eq!(kind("status"), Ok("status --json".into()));
        for line in [
            "whoami",
            "recall postgres",
            "topic list",
            "topic history general",
            "topic search x",
            "task list",
            "state get k",
            "state list",
            "group list",
            "notification list",
            "message status 0198c0de-0000-7000-8000-000000000000",
            "mesh list",
            "member list",
            "session list",
        ] {
            assert!(kind(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn verbs_that_change_wait_or_show_secrets_are_not() {
        for line in [
            "send bob hi",
            "inbox",
            "inbox --peek",
            "listen",
            "topic tail general",
            "topic post general hi",
            "state watch",
            "state set k 1",
            "invite",
            "invite list",
            "session limit --hourly 9",
            "allow bob",
            "status set dnd",
            "mesh leave team",
            "down",
            "up",
            "join https://x/i#y",
            "https://x/i#y",
            "daemon",
        ] {
            assert_eq!(kind(line), Err(ErrorKind::Refused), "{line}");
        }
        // These have no JSON to answer with, or are none.
        for line in ["mcp", "hook stop", "man", "peerz", "--help"] {
            assert_eq!(kind(line), Err(ErrorKind::Usage), "{line}");
        }
    }
}
