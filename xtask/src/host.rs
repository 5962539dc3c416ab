//! `cargo xtask host-test`: the tests inside the real Claude Code. It is fetched with npm into the target directory, in the
//! version that the integration was last verified with.

use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::process::{cargo, has_subcommand, output, run as run_command, target_dir};

/// The version of Claude Code.
const VERSION: &str = "2.1.329";
/// Its package.
const PACKAGE: &str = "@anthropic-ai/claude-code";

/// A client of MCP by others.
const SDK: &str = "@modelcontextprotocol/sdk@1.32.2";

/// Fetches, builds and tests.
pub(crate) fn run() -> Outcome {
    let folder = target_dir().join("host").join(VERSION);
    let claude = folder.join("node_modules/.bin/claude");
    if !claude.exists() {
        std::fs::create_dir_all(&folder)
            .map_err(|error| Failure::new(format!("cannot make {}: {error}", folder.display())))?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--no-save", "--prefix"]).arg(&folder);
        run_command(npm.arg(format!("{PACKAGE}@{VERSION}")).arg(SDK))?;
    }
    let found = output(Command::new(&claude).arg("--version").env("HOME", &folder))?;
    if !found.starts_with(VERSION) {
        return Err(Failure::new(format!("this is Claude Code {}, not {VERSION}", found.trim())));
    }
    run_command(&mut cargo(["build", "-p", "claudemesh-cli"]))?;
    let tests = ["-p", "claudemesh-tests", "--features", "host", "--test", "host"];
    let runner: &[&str] = if has_subcommand("nextest") { &["nextest", "run"] } else { &["test"] };
    let mut command = cargo(runner);
    command.args(tests);
    run_command(
        command.env("CLAUDEMESH_TEST_CLAUDE", &claude).env("CLAUDEMESH_TEST_MODULES", folder.join("node_modules")),
    )
}
