//! `statusline`: one line about the mesh, for the status line of a host. Never slow, never an error, never the network.

use std::fs;
use std::io::Read;
use std::sync::mpsc;
use std::time::Duration;

use claudemesh_client::api::{HostSession, MeshStatus, SessionsQuery, Status};
use claudemesh_client::{Error, ErrorKind, Home};
use serde::{Deserialize, Serialize};

use super::{Outcome, count, name_of};
use crate::app::App;
use crate::host::record;
use crate::output::Tone;

const EXAMPLES: &str = "\
Examples:
  claudemesh statusline
  claudemesh install --status-line       has Claude Code show it

It asks the daemon for 10 milliseconds at most and shows the last answer when there is none; without an answer in the last \
30 seconds it asks for 300. It starts no daemon.";

/// How long the daemon may take to answer while there is an answer of late.
const PATIENCE: Duration = Duration::from_millis(10);
/// How long it may take otherwise.
const LONGER: Duration = Duration::from_millis(300);
/// How old an answer of late may be.
const LATE: Duration = Duration::from_secs(30);
/// How old the kept answer may become while it stays the same.
const RENEWED: Duration = Duration::from_secs(10);
/// How long the host may take to say which session it asks for.
const HOST: Duration = Duration::from_millis(20);
/// More than a host says.
const MOST: u64 = 256 * 1024;
/// What nobody needs to read in a line.
const LONGEST: usize = 40;

/// Print one line about the mesh, for a status line
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

/// What the line says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// The line.
    line: String,
    /// The host's id of the session it is for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    session: Option<String>,
    /// Whether it is the answer to an earlier question.
    #[serde(default)]
    cached: bool,
}

/// Prints.
pub(crate) async fn run(app: &mut App, _: Args) -> Outcome {
    let home = Home::from_env()?;
    let id = host_says(app);
    let asked = async {
        let service = app.attached().await?;
        let status = service.status().await?;
        // Without its session a line is still a line.
        let sessions = service.sessions(None, SessionsQuery::default()).await.unwrap_or_default();
        Ok::<_, Error>((status, sessions.sessions))
    };
    let earlier = kept(&home).filter(|(line, _)| line.session == id);
    let patience = if earlier.as_ref().is_some_and(|(_, age)| *age < LATE) { PATIENCE } else { LONGER };
    let line = match tokio::time::timeout(patience, asked).await {
        Ok(Ok((status, sessions))) => {
            let session = sessions.iter().find(|session| id.is_some() && session.host.id == id);
            let line = Line { line: of(&status, session, app.mesh()), session: id, cached: false };
            keep(&home, &line, earlier.as_ref());
            line
        }
        Ok(Err(error)) if error.kind() == ErrorKind::Conflict => fixed("mesh · restart it: claudemesh down"),
        Ok(Err(_)) => fixed("mesh · not running"),
        Err(_) => earlier.map_or_else(|| fixed("mesh · busy"), |(line, _)| line),
    };
    app.output.show(&line, |page| page.spans(&[(Tone::Plain, &line.line)]))
}

/// Which session the host asks for: it says so on standard input, at once. One that says nothing is not waited for.
fn host_says(app: &mut App) -> Option<String> {
    if app.input.terminal {
        return None;
    }
    let reader = std::mem::replace(&mut app.input.reader, Box::new(std::io::empty()));
    let (sender, receiver) = mpsc::channel();
    let read = move || {
        let mut text = String::new();
        let _ = reader.take(MOST).read_to_string(&mut text);
        let said: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(id) = said["session_id"].as_str() {
            let _ = sender.send(id.to_owned());
        }
    };
    std::thread::Builder::new().spawn(read).ok()?;
    receiver.recv_timeout(HOST).ok()
}

/// What a daemon's answer comes to.
fn of(status: &Status, session: Option<&HostSession>, wanted: Option<&str>) -> String {
    let is_wanted = |mesh: &&MeshStatus| match wanted {
        Some(wanted) => mesh.mesh.label == wanted || mesh.mesh.id == wanted,
        None => mesh.mesh.selected,
    };
    let active = || status.meshes.iter().filter(|mesh| mesh.mesh.state == "active");
    let Some(mesh) = active().find(is_wanted).or_else(|| active().next()) else { return "mesh · none yet".into() };
    let me = brief(name_of(&mesh.mesh.member.name, &mesh.mesh.member.id));
    let me = session.map_or_else(|| me.clone(), |session| format!("{me}/{}", brief(&session.name)));
    let mut parts = vec![format!("mesh {}", brief(&mesh.mesh.label)), me];
    if !mesh.mesh.connected {
        parts.push("not connected".into());
    }
    let unread = session.map_or_else(|| active().map(|mesh| mesh.unread).sum(), |session| session.unread);
    if unread > 0 {
        parts.push(format!("{} unread", count(unread, "message")));
    }
    if active().any(|mesh| !mesh.warnings.is_empty()) {
        parts.push("warning: claudemesh status".into());
    }
    parts.join(" · ")
}

/// A name that leaves room for the others.
fn brief(name: &str) -> String {
    if name.chars().count() <= LONGEST {
        name.to_owned()
    } else {
        name.chars().take(LONGEST - 1).chain(['…']).collect()
    }
}

fn fixed(line: &str) -> Line {
    Line { line: line.into(), session: None, cached: false }
}

/// Keeps an answer that is new, or was kept long ago. One that cannot be kept is only missed when the daemon is slow.
fn keep(home: &Home, line: &Line, earlier: Option<&(Line, Duration)>) {
    let path = record::status_line(home);
    if earlier.is_some_and(|(kept, age)| kept.line == line.line && *age < RENEWED) {
        return;
    }
    let write = || {
        let text = serde_json::to_vec(line)?;
        let new = tempfile::Builder::new().prefix(".statusline-").tempfile_in(record::folder(home))?;
        fs::write(new.path(), text)?;
        new.persist(path).map_err(|error| error.error).map(drop)
    };
    let _: std::io::Result<()> = write();
}

/// The last answer and its age.
fn kept(home: &Home) -> Option<(Line, Duration)> {
    let path = record::status_line(home);
    let line: Line = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
    let age = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?.elapsed().unwrap_or(Duration::MAX);
    Some((Line { cached: true, ..line }, age))
}

#[cfg(test)]
mod tests {
    use claudemesh_client::service::Service;
    use futures_util::FutureExt;

    use super::*;
    use crate::testing::Fake;

    fn status(fake: &Fake) -> Status {
        fake.status().now_or_never().unwrap().unwrap()
    }

    #[test]
    fn it_says_where_one_is_and_what_waits() {
        let fake = Fake::default();
        let mut status = status(&fake);
        status.meshes[0].warnings.clear();
        assert_eq!(of(&status, None, None), "mesh team · alice · 2 messages unread");
        assert_eq!(of(&status, None, Some("another")), of(&status, None, None));
        status.meshes[0].unread = 0;
        assert_eq!(of(&status, None, Some("team")), "mesh team · alice");
        status.meshes[0].mesh.connected = false;
        status.meshes[0].warnings = vec!["gap".into()];
        assert_eq!(of(&status, None, None), "mesh team · alice · not connected · warning: claudemesh status");
        status.meshes[0].mesh.state = "left".into();
        assert_eq!(of(&status, None, None), "mesh · none yet");
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(brief("bob"), "bob");
        assert_eq!(brief(&"é".repeat(50)), format!("{}…", "é".repeat(39)));
    }
}
