//! The plugin: its files inside this program, and as they are written for one home.
//!
//! Written out, it names this program by its path and the home it belongs to, because the host may have been started
//! with another search path or environment than the shell that installed it.

use std::path::{Path, PathBuf};

use claudemesh_client::{Error, ErrorKind, Home};
use serde_json::{Value, json};

/// Its name.
pub(crate) const PLUGIN: &str = "claudemesh";
/// The program's name, as the files call it.
const PROGRAM: &str = "claudemesh";
/// Its manifest.
pub(crate) const MANIFEST: &str = ".claude-plugin/plugin.json";
/// Its server.
const SERVERS: &str = ".mcp.json";
/// Its hooks.
const HOOKS: &str = "hooks/hooks.json";

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        /// Every file with its text.
        pub(crate) const FILES: &[(&str, &str)] = &[$(($path, include_str!(concat!("../../plugin/", $path)))),*];
    };
}

files! {
    ".claude-plugin/plugin.json",
    ".mcp.json",
    "hooks/hooks.json",
    "skills/allow/SKILL.md",
    "skills/mesh/SKILL.md",
    "skills/status/SKILL.md",
}

/// Who runs: this program, for one home.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The program's absolute path.
    pub(crate) program: PathBuf,
    /// The variables that say which home, when it is not the usual one.
    pub(crate) environment: Vec<(String, String)>,
}

impl Caller {
    /// This program for a home. A path that stays when the program is updated comes before the one it has now.
    ///
    /// # Errors
    /// The program's own path is not known, or a folder's name is no text.
    pub(crate) fn own(home: &Home) -> Result<Self, Error> {
        let own = std::env::current_exe().map_err(|error| {
            Error::new(ErrorKind::Internal, "cannot find the path of this program").with_source(error)
        })?;
        let same = |path: &PathBuf| path.canonicalize().ok() == own.canonicalize().ok();
        let program = super::claude::which(PROGRAM).filter(same).unwrap_or(own);
        let folders: Vec<(&str, PathBuf)> = match home.root() {
            Some(root) => vec![("CLAUDEMESH_HOME", root.to_owned())],
            None => SPREAD.iter().filter_map(|name| Some((*name, PathBuf::from(std::env::var_os(name)?)))).collect(),
        };
        let folders = folders.into_iter().filter(|(_, folder)| folder.is_absolute());
        let environment = folders.map(|(name, folder)| Ok((name.to_owned(), utf8(&folder)?.to_owned())));
        Ok(Self { program, environment: environment.collect::<Result<_, Error>>()? })
    }

    /// A command line for a shell.
    ///
    /// # Errors
    /// A path has a character that no shell takes.
    pub(crate) fn line(&self, arguments: &str) -> Result<String, Error> {
        let quoted = |text: &str| {
            let unusable = |error| unusable(Path::new(text)).with_source(error);
            shlex::try_quote(text).map(|text| text.into_owned()).map_err(unusable)
        };
        let mut line = String::new();
        for (name, value) in &self.environment {
            line.push_str(&format!("{name}={} ", quoted(value)?));
        }
        Ok(line + &quoted(utf8(&self.program)?)? + " " + arguments)
    }
}

/// The variables that say where a home lies that has no folder of its own.
const SPREAD: [&str; 3] = ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"];

/// The words of a command line of this program, without the program itself; `None` when it is another's.
pub(crate) fn own_words(line: &str) -> Option<Vec<String>> {
    let words = shlex::split(line)?;
    let is_variable = |word: &String| word.starts_with("CLAUDEMESH_HOME=") || word.starts_with("XDG_");
    let mut words = words.into_iter().skip_while(is_variable);
    let program = words.next()?;
    (Path::new(&program).file_name()? == PROGRAM).then(|| words.collect())
}

/// The plugin's files for a caller, by their path in its folder.
///
/// # Errors
/// A path of the caller's cannot be written in JSON or for a shell.
pub(crate) fn render(caller: &Caller) -> Result<Vec<(&'static str, String)>, Error> {
    FILES.iter().map(|(path, text)| Ok((*path, rendered(path, text, caller)?))).collect()
}

fn rendered(path: &str, text: &str, caller: &Caller) -> Result<String, Error> {
    let change: fn(&mut Value, &Caller) -> Result<(), Error> = match path {
        MANIFEST => manifest,
        SERVERS => servers,
        HOOKS => hooks,
        _ => return Ok(text.to_owned()),
    };
    let broken = |error| Error::new(ErrorKind::Internal, format!("the plugin's {path} is damaged")).with_source(error);
    let mut value: Value = serde_json::from_str(text).map_err(broken)?;
    change(&mut value, caller)?;
    let mut text = serde_json::to_string_pretty(&value).map_err(broken)?;
    text.push('\n');
    Ok(text)
}

fn manifest(manifest: &mut Value, _: &Caller) -> Result<(), Error> {
    manifest["version"] = json!(env!("CARGO_PKG_VERSION"));
    Ok(())
}

fn servers(value: &mut Value, caller: &Caller) -> Result<(), Error> {
    let Some(servers) = value["mcpServers"].as_object_mut() else { return Ok(()) };
    for server in servers.values_mut().filter(|server| server["command"] == PROGRAM) {
        server["command"] = json!(utf8(&caller.program)?);
        for (name, value) in &caller.environment {
            server["env"][name] = json!(value);
        }
    }
    Ok(())
}

fn hooks(value: &mut Value, caller: &Caller) -> Result<(), Error> {
    let Some(events) = value["hooks"].as_object_mut() else { return Ok(()) };
    let groups = events.values_mut().filter_map(Value::as_array_mut).flatten();
    for hook in groups.filter_map(|group| group["hooks"].as_array_mut()).flatten() {
        let own = hook["command"].as_str().and_then(|line| line.strip_prefix(PROGRAM)?.strip_prefix(' '));
        if let Some(arguments) = own {
            hook["command"] = json!(caller.line(arguments)?);
        }
    }
    Ok(())
}

/// A path as text.
///
/// # Errors
/// It is none.
pub(crate) fn utf8(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| unusable(path))
}

fn unusable(path: &Path) -> Error {
    Error::new(
        ErrorKind::Usage,
        format!("the path {} cannot be written into another program's settings", path.display()),
    )
    .with_hint("use a path of ordinary characters")
}

#[cfg(test)]
mod tests;
