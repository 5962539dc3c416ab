//! The home, its daemon, and every mesh.

use claudemesh_client::api::{MeshStatus, Status};
use claudemesh_client::service::Service;
use claudemesh_client::{Error, ErrorKind, Home};

use super::Check;

const DAEMON: &str = "daemon";
const STORE: &str = "store";
const CLOCK: &str = "clock";
/// The warning about a clock.
const SKEW: &str = "clock_skew";
/// Room without which writing soon fails.
const ROOM: u64 = 64 * 1024 * 1024;

/// The home's folder.
pub(crate) fn home(home: &Home) -> Check {
    let folder = home.data_dir();
    match std::fs::symlink_metadata(folder) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let message = format!("{} is not there yet", home.display());
            return Check::warning("home", message, "make a mesh with `claudemesh up`, or join one by its link");
        }
        Err(_) => return Check::error("home", &unusable(home)),
    }
    let access = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    if access.is_err() {
        return Check::error("home", &unusable(home));
    }
    let room = rustix::fs::statvfs(folder).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    match room {
        Ok(room) if room < ROOM => {
            let message = format!("{}: {} MiB are left on its disk", home.display(), room / (1024 * 1024));
            Check::warning("home", message, "free some space before messages cannot be kept any more")
        }
        _ => Check::ok("home", home.display().to_string()),
    }
}

fn unusable(home: &Home) -> Error {
    Error::new(ErrorKind::Unwritable, format!("{} cannot be written", home.display()))
        .with_hint("check who owns it and whether its disk is read-only, or set CLAUDEMESH_HOME to another folder")
}

/// The daemon, and what it says of its meshes.
pub(crate) async fn daemon(service: Result<&dyn Service, &Error>) -> Vec<Check> {
    let status = match service {
        Ok(service) => service.status().await,
        Err(error) => return absent(error),
    };
    match status {
        Ok(status) => running(&status),
        Err(error) => absent(&error),
    }
}

fn absent(error: &Error) -> Vec<Check> {
    let daemon = if error.kind() == ErrorKind::Unreachable {
        Check::failed(
            DAEMON,
            error.kind(),
            "it does not run",
            "start it with `claudemesh up`; its log says why it ended",
        )
    } else {
        Check::error(DAEMON, error)
    };
    let unseen = |name| Check::skipped(name, "the daemon does not answer");
    vec![daemon, unseen(STORE), unseen("broker"), unseen(CLOCK)]
}

fn running(status: &Status) -> Vec<Check> {
    let own = env!("CARGO_PKG_VERSION");
    let who = format!("claudemesh {}, process {}", status.version, status.pid);
    let daemon = if status.version == own {
        Check::ok(DAEMON, who)
    } else {
        let message = format!("{who}; this program is {own}");
        Check::warning(DAEMON, message, "run `claudemesh down`: the next verb starts the daemon of this version")
    };
    let mut checks = vec![daemon, Check::ok(STORE, "open")];
    if status.meshes.is_empty() {
        checks.push(Check::warning("broker", "no mesh yet", "make one with `claudemesh up`, or join one by its link"));
    }
    checks.extend(status.meshes.iter().map(broker));
    checks.push(clock(status));
    checks.extend(status.meshes.iter().flat_map(warnings));
    checks
}

fn broker(status: &MeshStatus) -> Check {
    let mesh = &status.mesh;
    if mesh.state != "active" {
        return Check::skipped("broker", format!("{}: {}", mesh.label, mesh.state));
    }
    if mesh.connected {
        let time = status.round_trip_ms.map(|ms| format!(", {ms:.1} ms")).unwrap_or_default();
        return Check::ok("broker", format!("{}: {}{time}", mesh.label, mesh.broker));
    }
    let why = status.last_error.as_deref().unwrap_or("no connection yet");
    let message = format!("{}: {} is not connected: {why}", mesh.label, mesh.broker);
    let fix = "check this machine's network, and that whoever hosts the broker runs it; messages wait and go out then";
    Check::failed("broker", ErrorKind::Unreachable, message, fix)
}

fn clock(status: &Status) -> Check {
    if status.meshes.iter().any(|mesh| mesh.warnings.iter().any(|warning| warning == SKEW)) {
        let message = "this clock and the broker's differ by more than a day: mail may be held";
        return Check::failed(CLOCK, ErrorKind::Refused, message, "set this machine's clock right; nothing is lost");
    }
    if status.meshes.iter().any(|mesh| mesh.mesh.connected) {
        Check::ok(CLOCK, "agrees with the broker's")
    } else {
        Check::skipped(CLOCK, "no broker to compare it with")
    }
}

fn warnings(status: &MeshStatus) -> Vec<Check> {
    let named = status.warnings.iter().filter(|warning| *warning != SKEW);
    let check = |warning: &String| {
        let message = format!("{}: {warning}", status.mesh.label);
        Check::warning("mesh", message, "docs/operations.md, Warnings, says what it means and what to do")
    };
    named.map(check).collect()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::doctor::{Diagnosis, Verdict};
    use crate::testing::Fake;

    fn checks(change: impl FnOnce(&mut Status)) -> Vec<Check> {
        let mut status = Fake::default().status().now_or_never().unwrap().unwrap();
        status.version = env!("CARGO_PKG_VERSION").into();
        status.meshes[0].warnings.clear();
        change(&mut status);
        running(&status)
    }

    fn verdict(checks: &[Check], name: &str) -> Verdict {
        checks.iter().find(|check| check.name == name).unwrap().verdict
    }

    #[test]
    fn a_daemon_that_does_not_fit_is_said_with_its_own_hint() {
        let error = Error::new(ErrorKind::Conflict, "it speaks version 2").with_hint("stop it with `claudemesh down`");
        let checks = absent(&error);
        assert_eq!(checks[0].fix.as_deref(), Some("stop it with `claudemesh down`"));
        assert!(checks[1..].iter().all(|check| check.verdict == Verdict::Skipped));
        assert_eq!(Diagnosis::of(checks).failure(), Some(ErrorKind::Conflict));
    }

    #[test]
    fn an_older_daemon_is_no_failure_but_is_said() {
        let checks = checks(|status| status.version = "0.0.9".into());
        assert_eq!(verdict(&checks, DAEMON), Verdict::Warning);
        assert_eq!(Diagnosis::of(checks).failure(), None);
    }

    #[test]
    fn a_wrong_clock_and_a_lost_broker_fail_and_a_warning_warns() {
        assert!(Diagnosis::of(checks(|_| {})).ok);
        assert_eq!(verdict(&checks(|status| status.meshes[0].warnings = vec![SKEW.into()]), CLOCK), Verdict::Failed);
        assert_eq!(verdict(&checks(|status| status.meshes[0].warnings = vec!["gap".into()]), "mesh"), Verdict::Warning);
        let lost = checks(|status| status.meshes[0].mesh.connected = false);
        assert_eq!((verdict(&lost, "broker"), verdict(&lost, CLOCK)), (Verdict::Failed, Verdict::Skipped));
        let left = checks(|status| status.meshes[0].mesh.state = "left".into());
        assert_eq!(verdict(&left, "broker"), Verdict::Skipped);
    }
}
