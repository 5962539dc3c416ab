//! What is ours in the host's settings: the status line and the leave for our tools. All else is the user's.

use std::path::Path;

use claudemesh_client::{Error, ErrorKind};
use serde_json::{Value, json};

use super::bundle::{self, Caller};
use super::json::{Edit, edit, read};
use super::record::Wishes;

/// The rule that lets the mesh's tools run without a question.
const RULE: &str = "mcp__plugin_claudemesh_mesh";
/// The plugin's name in the host's settings, found by our link.
pub(crate) const ID: &str = "claudemesh@skills-dir";
/// Seconds after which the host asks for the status line again while nothing happens.
const REFRESH: u32 = 5;
/// The verb that prints it.
const VERB: &str = "statusline";

/// Whose status line the settings name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusLine {
    None,
    Ours,
    Other,
}

/// Whose status line these settings name.
pub(crate) fn status_line(settings: &Value) -> StatusLine {
    match &settings["statusLine"] {
        Value::Null => StatusLine::None,
        line => match line["command"].as_str().and_then(bundle::own_words) {
            Some(words) if words == [VERB] => StatusLine::Ours,
            _ => StatusLine::Other,
        },
    }
}

/// The plugin by the name it has when the host got it from a marketplace, when it did and the plugin is on.
pub(crate) fn from_marketplace(settings: &Value) -> Option<&str> {
    let enabled = settings["enabledPlugins"].as_object()?;
    let ours = enabled.iter().find(|(id, on)| *on == true && **id != ID && id.starts_with("claudemesh@"))?;
    Some(ours.0)
}

/// Whether the plugin is switched off that is found by our link.
pub(crate) fn switched_off(settings: &Value) -> bool {
    settings["enabledPlugins"][ID] == false
}

/// What settings say; the path is for the error.
///
/// # Errors
/// They cannot be understood.
pub(crate) fn understood(bytes: &[u8], path: &Path) -> Result<Value, Error> {
    read(bytes).map_err(|problem| {
        Error::new(ErrorKind::Corrupt, format!("{} cannot be understood: {problem}", path.display()))
            .with_hint("nothing was changed; mend the file, or move it away, and run the command again")
    })
}

/// The settings with what the user wishes for.
///
/// # Errors
/// They cannot be understood, or have a status line of somebody else's.
pub(super) fn with_ours(bytes: &[u8], wishes: Wishes, caller: &Caller, path: &Path) -> Result<Vec<u8>, Error> {
    let mut edits = Vec::new();
    if wishes.status_line {
        if status_line(&understood(bytes, path)?) == StatusLine::Other {
            let message = format!("{} has a status line already; it was not touched", path.display());
            let own = caller.line(VERB)?;
            return Err(Error::new(ErrorKind::Conflict, message).with_hint(format!(
                "have your own script run `{own}` and print what it says, or leave --status-line out"
            )));
        }
        let line = json!({ "type": "command", "command": caller.line(VERB)?, "refreshInterval": REFRESH });
        edits.push(Edit::Set(path_of(&["statusLine"]), line));
    }
    if wishes.allow_tools {
        edits.push(Edit::Include(path_of(&["permissions", "allow"]), json!(RULE)));
    }
    edited(bytes, &edits, path)
}

/// What has to be made in settings for the wishes, the innermost first.
pub(super) fn made_for(settings: &Value, wishes: Wishes) -> Vec<Vec<String>> {
    let places: [(&[&str], bool); 2] = [
        (&["permissions", "allow"], settings["permissions"]["allow"].is_null()),
        (&["permissions"], settings["permissions"].is_null()),
    ];
    let missing = places.into_iter().filter(|(_, missing)| wishes.allow_tools && *missing);
    missing.map(|(names, _)| path_of(names)).collect()
}

/// The settings without anything of ours, and without what was made for it and is empty.
///
/// # Errors
/// They cannot be understood.
pub(super) fn without_ours(bytes: &[u8], made: &[Vec<String>], path: &Path) -> Result<Vec<u8>, Error> {
    let mut edits = vec![Edit::Exclude(path_of(&["permissions", "allow"]), json!(RULE))];
    if status_line(&understood(bytes, path)?) == StatusLine::Ours {
        edits.push(Edit::Remove(path_of(&["statusLine"])));
    }
    edits.extend(made.iter().cloned().map(Edit::Prune));
    edited(bytes, &edits, path)
}

/// What of ours is in the settings.
pub(super) fn wishes_in(settings: &Value) -> Wishes {
    let allow = settings["permissions"]["allow"].as_array();
    Wishes {
        status_line: status_line(settings) == StatusLine::Ours,
        allow_tools: allow.is_some_and(|rules| rules.iter().any(|rule| rule == RULE)),
    }
}

fn edited(bytes: &[u8], edits: &[Edit], path: &Path) -> Result<Vec<u8>, Error> {
    edit(bytes, edits).map_err(|problem| {
        Error::new(ErrorKind::Corrupt, format!("{} cannot be edited: {problem}", path.display()))
            .with_hint("nothing was changed; mend the file and run the command again")
    })
}

fn path_of(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}
