//! One run of Claude Code, spoken to in lines of JSON.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;

use serde_json::{Value, json};

use super::Api;
use crate::e2e::{PATIENCE, Person, binary};

/// The variable with the path of Claude Code's own binary.
const CLAUDE: &str = "CLAUDEMESH_TEST_CLAUDE";

/// A session of Claude Code, killed when dropped.
#[derive(Debug)]
pub struct Claude {
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<Value>,
}

impl Claude {
    /// Its own program.
    ///
    /// # Panics
    /// It is not there.
    #[must_use]
    pub fn program() -> PathBuf {
        std::env::var_os(CLAUDE).map(PathBuf::from).expect("`cargo xtask host-test` names Claude Code")
    }

    /// Starts a session of a person's in a folder of this name, with the plugin from the sources.
    ///
    /// # Panics
    /// Claude Code is not there, or does not start.
    #[must_use]
    pub fn start(person: &Person, api: &Api, folder: &str, options: &[&str]) -> Self {
        let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it has one").join("claudemesh-cli/plugin");
        let plugin = plugin.to_str().expect("the sources lie at a path of text");
        Self::installed(person, api, folder, &[&["--plugin-dir", plugin], options].concat())
    }

    /// Starts a session with what is installed.
    ///
    /// # Panics
    /// Claude Code is not there, or does not start.
    #[must_use]
    pub fn installed(person: &Person, api: &Api, folder: &str, options: &[&str]) -> Self {
        let own = binary();
        let tools = own.parent().expect("it lies in a folder");
        let folder = person.home().join("work").join(folder);
        let home = person.home().join("user");
        for path in [&folder, &home] {
            std::fs::create_dir_all(path).expect("a folder can be made");
        }
        let mut child = Command::new(Self::program())
            .args(["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"])
            .args(["--allowedTools", "Bash(cat:*)", "mcp__plugin_claudemesh_mesh__check_inbox"])
            .args(options)
            .current_dir(&folder)
            .env_clear()
            .env("HOME", &home)
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", tools.display()))
            .env("TMPDIR", person.home())
            .env("TERM", "dumb")
            .env("ANTHROPIC_BASE_URL", api.url())
            .env("ANTHROPIC_API_KEY", "sk-fake")
            .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
            .env("CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL", "1")
            .env("CLAUDEMESH_HOME", person.home())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("Claude Code runs");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (found, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = out.lines().map_while(Result::ok);
            lines.filter_map(|line| serde_json::from_str(&line).ok()).all(|line| found.send(line).is_ok())
        });
        let input = child.stdin.take();
        Self { child, input, lines }
    }

    /// The user says something.
    ///
    /// # Panics
    /// It is not taken.
    pub fn say(&mut self, text: &str) {
        let line = json!({"type": "user", "message": {"role": "user", "content": text}});
        let input = self.input.as_mut().expect("it is open");
        input.write_all(format!("{line}\n").as_bytes()).expect("Claude Code reads");
    }

    /// Waits for the end of a turn.
    ///
    /// # Panics
    /// None ends.
    pub fn turn_ends(&self) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("a turn ends");
            if line["type"] == "result" {
                return line;
            }
        }
    }

    /// The user leaves; waits until the host has ended.
    ///
    /// # Panics
    /// It does not end.
    pub fn leave(mut self) {
        self.input = None;
        while self.lines.recv_timeout(PATIENCE).is_ok() {}
        self.child.wait().expect("a child ends");
    }
}

impl Drop for Claude {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
