//! The unit of systemd's user instance.

use claudemesh_client::Error;

use super::MARK;
use crate::host::bundle::{Caller, utf8};

/// The program that speaks to it.
pub(super) const PROGRAM: &str = "systemctl";
/// The unit's name.
pub(super) const UNIT: &str = "claudemesh.service";

/// The unit. A usage error and a home that is held or damaged do not pass by trying again.
pub(super) fn text(caller: &Caller) -> Result<String, Error> {
    let mut text = format!("# {MARK}\n[Unit]\nDescription=claudemesh daemon\nDocumentation=man:claudemesh(1)\n\n");
    text.push_str("[Service]\nType=exec\n");
    text.push_str(&format!("ExecStart=\"{}\" daemon\n", escaped(utf8(&caller.program)?).replace('$', "$$")));
    for (name, value) in &caller.environment {
        text.push_str(&format!("Environment=\"{name}={}\"\n", escaped(value)));
    }
    text.push_str("Restart=on-failure\nRestartSec=2\nRestartPreventExitStatus=2 8\nUMask=0077\nNoNewPrivileges=yes\n");
    text.push_str("\n[Install]\nWantedBy=default.target\n");
    Ok(text)
}

/// A text inside double quotes of a unit.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_runs_this_program_in_its_home() {
        let caller = Caller {
            program: "/opt/my \"tools\"/100%/$x/claudemesh".into(),
            environment: vec![("CLAUDEMESH_HOME".into(), "/home/a b/50%".into())],
        };
        let text = text(&caller).unwrap();
        assert!(text.contains("\nExecStart=\"/opt/my \\\"tools\\\"/100%%/$$x/claudemesh\" daemon\n"), "{text}");
        assert!(text.contains("\nEnvironment=\"CLAUDEMESH_HOME=/home/a b/50%%\"\n"), "{text}");
        assert!(text.starts_with(&format!("# {MARK}\n[Unit]\n")), "{text}");
        assert!(text.ends_with("[Install]\nWantedBy=default.target\n"), "{text}");
    }
}
