//! `cargo xtask help`.

use std::io::Write;

use crate::failure::{Failure, Outcome};
use crate::{check, fuzz};

/// Prints the tasks.
pub(crate) fn print() -> Outcome {
    std::io::stdout().write_all(text().as_bytes()).map_err(|error| Failure::new(format!("cannot print: {error}")))
}

fn text() -> String {
    let steps: String = check::STEPS.iter().map(|step| format!("      {:<10}{}\n", step.name, step.about)).collect();
    format!(
        "cargo xtask TASK

  demo                    two people, two daemons and an embedded broker exchange messages, online and offline
  test                    every test: unit, end to end, documentation, and the Python verifier
  check [STEP...]         everything else CI requires; without names, all of:
{steps}  python                  the wheel of the Python module: built, installed, type-checked and tested
  python bench [ARGS]     its speed beside that of the Rust client, in release mode
  bench [ARGS]            run the benchmark in release mode; `bench -- --help` lists its arguments
  fuzz TARGET [-- ARGS]   fuzz one of: {}
  host-test               the tests inside the real Claude Code, fetched with npm
  help                    this text

Needs cargo and python3. cargo-nextest is used when installed; cargo-deny and cargo-fuzz serve one check each.
",
        fuzz::TARGETS.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_and_target_is_listed() {
        let text = text();
        for name in check::names().iter().chain(fuzz::TARGETS) {
            assert!(text.contains(name), "{name}");
        }
    }
}
