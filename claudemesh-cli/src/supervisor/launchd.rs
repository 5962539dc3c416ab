//! The agent of launchd.

use std::path::Path;

use claudemesh_client::Error;

use super::MARK;
use crate::host::bundle::{Caller, utf8};

/// The program that speaks to it.
pub(super) const PROGRAM: &str = "launchctl";
/// The agent's name.
pub(super) const LABEL: &str = "dev.claudemesh.daemon";

/// The domain of this user's programs.
pub(super) fn domain() -> String {
    format!("gui/{}", rustix::process::getuid().as_raw())
}

/// The agent in its domain.
pub(super) fn target() -> String {
    format!("{}/{LABEL}", domain())
}

/// The property list. It is started again unless it ended by itself and well.
pub(super) fn text(caller: &Caller, log: &Path) -> Result<String, Error> {
    let string = |text: &str| format!("<string>{}</string>", escaped(text));
    let pair = |(name, value): &(String, String)| format!("<key>{}</key>{}", escaped(name), string(value));
    let environment: String = caller.environment.iter().map(pair).collect();
    Ok(format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- {MARK} -->
<plist version="1.0">
<dict>
  <key>Label</key>{label}
  <key>ProgramArguments</key><array>{program}<string>daemon</string></array>
  <key>EnvironmentVariables</key><dict>{environment}</dict>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
  <key>StandardErrorPath</key>{log}
  <key>ProcessType</key><string>Background</string>
  <key>Umask</key><integer>63</integer>
</dict>
</plist>
"#,
        label = string(LABEL),
        program = string(utf8(&caller.program)?),
        log = string(utf8(log)?),
    ))
}

/// A text inside an element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_runs_this_program_in_its_home() {
        let caller = Caller {
            program: "/Applications/A & B/claudemesh".into(),
            environment: vec![("CLAUDEMESH_HOME".into(), "/Users/a/<mesh>".into())],
        };
        let text = text(&caller, Path::new("/Users/a/daemon.log")).unwrap();
        let arguments = "<array><string>/Applications/A &amp; B/claudemesh</string><string>daemon</string></array>";
        assert!(text.contains(arguments), "{text}");
        assert!(
            text.contains("<dict><key>CLAUDEMESH_HOME</key><string>/Users/a/&lt;mesh&gt;</string></dict>"),
            "{text}"
        );
        assert!(text.contains(MARK) && text.contains("<string>dev.claudemesh.daemon</string>"), "{text}");
    }
}
