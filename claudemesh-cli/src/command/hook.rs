//! `hook`: what a host's hooks run. Tells the daemon what happens in the session, and gives the host what it answers. Never
//! in the way of the host: whatever goes wrong, it says nothing and exits with 0.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::time::Duration;

use claudemesh_client::api::{HostEvent, HostRef, Notice, SessionAnswer, SessionEvent};
use claudemesh_client::notices_in;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Outcome;
use crate::app::App;
use crate::mcp::environment;

const EXAMPLES: &str = "\
Examples:
  claudemesh hook session-start < event.json

Run by the hooks of Claude Code, with their JSON on standard input. It exits with 0 whatever happens.";

/// A host waits for nobody.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest event that is read.
const MOST: u64 = 4 * 1024 * 1024;

/// Tell what happens in a session; run by its host
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What happens
    event: Kind,
}

/// The hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A conversation begins or goes on
    SessionStart,
    /// The user, or a message, begins a turn
    Prompt,
    /// Tools were used
    Tool,
    /// The user is asked to permit something
    Permission,
    /// The host notifies its user
    Notification,
    /// A turn ends
    Stop,
    /// A conversation ends
    SessionEnd,
}

/// What a hook is told.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Input {
    session_id: Option<String>,
    cwd: Option<String>,
    prompt: Option<String>,
    permission_mode: Option<String>,
    reason: Option<String>,
    notification_type: Option<String>,
    stop_hook_active: bool,
}

impl Kind {
    /// What it means for the session; none when nothing.
    fn event(self, input: &Input) -> Option<HostEvent> {
        Some(match self {
            Self::SessionStart => HostEvent::SessionStart,
            Self::Prompt => HostEvent::Prompt,
            Self::Tool => HostEvent::Tool,
            Self::Permission => HostEvent::Permission,
            Self::Notification => match input.notification_type.as_deref()? {
                "permission_prompt" => HostEvent::Permission,
                "idle_prompt" => HostEvent::Idle,
                _ => return None,
            },
            Self::Stop => HostEvent::Stop,
            // The host goes on with another conversation.
            Self::SessionEnd if matches!(input.reason.as_deref(), Some("clear" | "resume")) => HostEvent::Idle,
            Self::SessionEnd => HostEvent::SessionEnd,
        })
    }

    fn may_hand(self, input: &Input) -> bool {
        match self {
            Self::SessionStart | Self::Prompt | Self::Tool => true,
            Self::Stop => !input.stop_hook_active,
            _ => false,
        }
    }
}

/// Tells, and hands over.
pub(crate) async fn run(app: &mut App, args: Args) -> Outcome {
    let mut text = String::new();
    let _ = (&mut app.input.reader).take(MOST).read_to_string(&mut text);
    let input: Input = serde_json::from_str(&text).unwrap_or_default();
    let Some(event) = args.event.event(&input) else { return Ok(()) };
    let request = SessionEvent {
        host: HostRef { id: input.session_id.clone(), cwd: input.cwd.clone(), ..environment::host() },
        event,
        seen: input.prompt.as_deref().map(notices_in).unwrap_or_default(),
        unguarded: input.permission_mode.as_deref().map(|mode| mode == "bypassPermissions"),
        may_hand: args.event.may_hand(&input),
    };
    let told = async { app.attached().await?.session_event(app.mesh(), request).await };
    let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE, told).await else { return Ok(()) };
    if args.event == Kind::SessionStart {
        name_session(&answer);
    }
    let name = match args.event {
        Kind::SessionStart => "SessionStart",
        Kind::Prompt => "UserPromptSubmit",
        Kind::Tool => "PostToolBatch",
        _ => "Stop",
    };
    if let Some(output) = answer.notice.map(|notice| handing(name, &notice)) {
        // A host that does not listen is told again later.
        let _ = app.output.print(&format!("{output}\n"));
    }
    Ok(())
}

/// What a host takes from a hook of this name.
pub(crate) fn handing(hook: &str, notice: &Notice) -> Value {
    match hook {
        "Stop" => json!({ "decision": "block", "reason": notice.text }),
        _ => json!({ "hookSpecificOutput": { "hookEventName": hook, "additionalContext": notice.text } }),
    }
}

/// The shell of the session speaks for it.
fn name_session(answer: &SessionAnswer) {
    let (Some(session), Some(file)) = (&answer.session, std::env::var_os("CLAUDE_ENV_FILE")) else { return };
    let line = format!("export CLAUDEMESH_SESSION='{}'\n", session.replace('\'', r"'\''"));
    let file = OpenOptions::new().append(true).create(true).open(file);
    // Without it the shell speaks as `main`.
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(json: Value) -> Input {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn events_of_the_host_become_events_of_the_session() {
        for (kind, json, event) in [
            (Kind::Prompt, json!({}), Some(HostEvent::Prompt)),
            (Kind::Notification, json!({"notification_type": "permission_prompt"}), Some(HostEvent::Permission)),
            (Kind::Notification, json!({"notification_type": "idle_prompt"}), Some(HostEvent::Idle)),
            (Kind::Notification, json!({"notification_type": "auth_success"}), None),
            (Kind::Notification, json!({}), None),
            (Kind::SessionEnd, json!({"reason": "clear"}), Some(HostEvent::Idle)),
            (Kind::SessionEnd, json!({"reason": "other"}), Some(HostEvent::SessionEnd)),
            (Kind::SessionEnd, json!({}), Some(HostEvent::SessionEnd)),
        ] {
            assert_eq!(kind.event(&input(json.clone())), event, "{kind:?} {json}");
        }
    }

    #[test]
    fn a_turn_is_lengthened_once() {
        assert!(Kind::Stop.may_hand(&input(json!({}))));
        assert!(!Kind::Stop.may_hand(&input(json!({"stop_hook_active": true}))));
    }

    #[test]
    fn a_stop_goes_on_with_the_notice_and_the_others_add_it() {
        let notice = Notice { id: "m_1".into(), text: "[mesh m_1] 1 message".into(), count: 1 };
        assert_eq!(handing("Stop", &notice), json!({"decision": "block", "reason": "[mesh m_1] 1 message"}));
        let added = handing("UserPromptSubmit", &notice);
        assert_eq!(added["hookSpecificOutput"]["additionalContext"], "[mesh m_1] 1 message");
    }
}
