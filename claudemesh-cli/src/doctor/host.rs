//! Claude Code: its program, the plugin beside it, and what its settings permit.

use std::path::Path;

use claudemesh_client::api::{HostSession, Route, SessionsQuery};
use claudemesh_client::service::Service;
use claudemesh_client::{Error, ErrorKind, Home};
use serde_json::Value;

use super::Check;
use crate::command::{count, time};
use crate::host::Found;
use crate::host::bundle::{self, Caller};
use crate::host::claude::{Binary, OLDEST, Place, SOCKET};
use crate::host::install::{Linked, link, linked};
use crate::host::record;
use crate::host::settings::{ID, StatusLine, from_marketplace, status_line, switched_off, understood};

const INSTALL: &str = "run `claudemesh install`";
/// What an administrator sets for everybody.
const MANAGED: &[&str] =
    &["/etc/claude-code/managed-settings.json", "/Library/Application Support/ClaudeCode/managed-settings.json"];

/// The program.
pub(crate) fn program(binary: Option<&Binary>) -> Check {
    const NAME: &str = "claude";
    let Some(binary) = binary else {
        let fix = "install Claude Code, or add the folder of its program to PATH";
        return Check::warning(NAME, "`claude` is not on the search path", fix);
    };
    let path = binary.path.display();
    match binary.version {
        None => Check::warning(NAME, format!("{path} does not say its version"), "run `claude --version` to see why"),
        Some(version) if version < OLDEST => {
            let message = format!("{path}, {version}: too old");
            Check::failed(
                NAME,
                ErrorKind::Conflict,
                message,
                format!("{OLDEST} or later is needed: run `claude update`"),
            )
        }
        Some(version) if version < SOCKET => {
            let message = format!("{path}, {version}: messages reach a session at its hooks only");
            let fix = format!("from {SOCKET} on they reach it while it works: run `claude update`");
            Check::warning(NAME, message, fix)
        }
        Some(version) => Check::ok(NAME, format!("{path}, {version}")),
    }
}

/// The plugin, and whether the settings let it work.
pub(crate) fn plugin(home: &Home, place: &Place) -> Vec<Check> {
    const NAME: &str = "plugin";
    let at = link(place);
    let market = read(&place.settings()).ok().and_then(|settings| from_marketplace(&settings).map(str::to_owned));
    if let (Linked::Nothing, Some(id)) = (linked(place, home), market) {
        let mut checks = vec![Check::ok(NAME, format!("{id}, kept by Claude Code itself"))];
        checks.extend(settings(place));
        return checks;
    }
    match linked(place, home) {
        Linked::Nothing => {
            vec![Check::warning(NAME, format!("it is not installed in {}", place.folder().display()), INSTALL)]
        }
        Linked::Gone => {
            vec![Check::failed(NAME, ErrorKind::NotFound, format!("{} leads nowhere", at.display()), INSTALL)]
        }
        Linked::Other => {
            let message = format!("{} is another home's or somebody else's", at.display());
            let fix = "move it away, or undo it with the CLAUDEMESH_HOME it belongs to; then run `claudemesh install`";
            vec![Check::failed(NAME, ErrorKind::Conflict, message, fix)]
        }
        Linked::Here => {
            let mut checks = vec![files(home, NAME)];
            checks.extend(settings(place));
            checks
        }
    }
}

fn files(home: &Home, name: &str) -> Check {
    let plugin = record::plugin(home);
    let files = match Caller::own(home).and_then(|caller| bundle::render(&caller)) {
        Ok(files) => files,
        Err(error) => return Check::error(name, &error),
    };
    let text = |path: &str| std::fs::read_to_string(plugin.join(path));
    if files.iter().any(|(path, _)| text(path).is_err()) {
        let message = format!("files of {} are missing", plugin.display());
        return Check::failed(name, ErrorKind::NotFound, message, INSTALL);
    }
    if files.iter().any(|(path, wanted)| !text(path).is_ok_and(|text| text == *wanted)) {
        let message = format!("{} is of another version, or of a program at another path", plugin.display());
        return Check::warning(name, message, INSTALL);
    }
    Check::ok(name, format!("{} {}", env!("CARGO_PKG_VERSION"), plugin.display()))
}

/// What the user's and the administrator's settings permit.
fn settings(place: &Place) -> Vec<Check> {
    let user = match read(&place.settings()) {
        Ok(settings) => settings,
        Err(error) => return vec![Check::error("settings", &error)],
    };
    let managed: Vec<Value> = MANAGED.iter().filter_map(|path| read(Path::new(path)).ok()).collect();
    let all = || managed.iter().chain([&user]);
    let mut checks = Vec::new();
    if switched_off(&user) {
        let fix = format!("run `claude plugin enable {ID}`, or switch it on in /plugin");
        checks.push(Check::failed("enabled", ErrorKind::Refused, "the plugin is switched off in the settings", fix));
    } else {
        checks.push(Check::ok("enabled", "the settings do not switch the plugin off"));
    }
    if let Some(id) = from_marketplace(&user).filter(|_| link(place).exists()) {
        let fix = format!("run `claude plugin uninstall {id}`, or `claudemesh uninstall`");
        checks.push(Check::warning("enabled", format!("{id} is there, too: the plugin is loaded twice"), fix));
    }
    checks.push(if all().any(|settings| settings["disableAllHooks"] == true) {
        let message = "`disableAllHooks` switches all hooks off: what reaches a session is not confirmed";
        Check::failed("hooks", ErrorKind::Refused, message, "take it out of Claude Code's settings")
    } else if managed.iter().any(|settings| settings["allowManagedHooksOnly"] == true) {
        let message = "the administrator permits managed hooks only: what reaches a session is not confirmed";
        Check::failed("hooks", ErrorKind::Refused, message, "ask the administrator to permit this plugin's hooks")
    } else {
        Check::ok("hooks", "permitted")
    });
    if let Some(rule) =
        all().find_map(|settings| settings["crossSessionInbound"].as_str()).filter(|rule| *rule != "accept")
    {
        let message = format!("`crossSessionInbound` is `{rule}`: messages reach a session at its hooks only");
        checks.push(Check::warning(
            "inbound",
            message,
            "set it to `accept`, or leave it out, to be reached while working",
        ));
    }
    checks.push(match status_line(&user) {
        StatusLine::Ours => Check::ok("status line", "shows the mesh"),
        StatusLine::Other => Check::ok("status line", "another program's; it was left alone"),
        StatusLine::None => Check::ok("status line", "none; `claudemesh install --status-line` shows the mesh in it"),
    });
    checks
}

fn read(path: &Path) -> Result<Value, Error> {
    let found = Found::read(path)?;
    understood(found.bytes(), found.path())
}

/// The way to each session that runs, and when its host last confirmed a message.
pub(crate) async fn sessions(service: &dyn Service) -> Vec<Check> {
    match service.sessions(None, SessionsQuery::default()).await {
        Ok(found) if found.sessions.iter().all(|session| !session.live) => {
            vec![Check::skipped(SESSION, "none runs on this device")]
        }
        Ok(found) => found.sessions.iter().filter(|session| session.live).map(session).collect(),
        Err(error) => vec![Check::error(SESSION, &error)],
    }
}

const SESSION: &str = "session";

fn session(session: &HostSession) -> Check {
    let confirmed = session.confirmed_at.as_deref();
    let confirmed =
        confirmed.map_or_else(|| "nothing confirmed yet".into(), |at| format!("last confirmed {}", time(at)));
    let unread = count(session.unread, "message");
    let message = format!("{}: {}, {unread} unread, {confirmed}", session.name, way(session));
    match session.route {
        Route::Socket if !answers(session) => {
            let fix = "start the session again; until then its hooks fetch what waits";
            Check::failed(SESSION, ErrorKind::Unreachable, format!("{message}; nobody answers there"), fix)
        }
        Route::Socket => Check::ok(SESSION, message),
        Route::Channel => Check::warning(SESSION, message, "a channel confirms nothing: look at what is unread"),
        _ => {
            let fix = "messages wait for the end of a turn; to be reached within one, update Claude Code and start the session again";
            Check::warning(SESSION, message, fix)
        }
    }
}

fn way(session: &HostSession) -> &'static str {
    match session.route {
        Route::Socket => "by its socket",
        Route::Channel => "by channel notifications",
        _ => "by its hooks",
    }
}

/// Whether the session's socket takes a connection. Nothing is said on it.
fn answers(session: &HostSession) -> bool {
    session.host.socket.as_ref().is_some_and(|socket| std::os::unix::net::UnixStream::connect(socket).is_ok())
}
