//! `cargo xtask check`: everything CI requires besides the tests. One entry in [`STEPS`] per check.

mod layers;
mod lengths;
mod licences;
mod purity;
mod sleeps;

use crate::failure::{Failure, Outcome};
use crate::fuzz;
use crate::process::{cargo, has_subcommand, in_ci, output, root, run as run_command};
use crate::report::{Note, Report};

/// Tests that another task runs.
const HOST_TESTS: &str = "claudemesh-tests/host";

/// A named check.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    run: fn() -> Outcome<Note>,
}

/// Every check, the quick ones first.
pub(crate) const STEPS: &[Step] = &[
    Step { name: "lockfile", about: "Cargo.lock is up to date", run: lockfile },
    Step { name: "fmt", about: "formatting", run: format },
    Step { name: "layers", about: "crates depend only downwards", run: layers::check },
    Step { name: "lengths", about: "no file is too long", run: lengths::check },
    Step { name: "sleeps", about: "no test sleeps", run: sleeps::check },
    Step { name: "purity", about: "core has no clock, sockets, randomness or std", run: purity::check },
    Step { name: "licences", about: "licences, banned crates and sources (cargo-deny)", run: licences::check },
    Step { name: "clippy", about: "lints, warnings are errors", run: clippy },
    Step { name: "features", about: "core alone, client without features, client with `daemon`", run: features },
    Step { name: "docs", about: "documentation builds without warnings", run: docs },
    Step { name: "fuzz", about: "the fuzz targets build (cargo-fuzz)", run: fuzz_build },
];

/// The names of all checks.
pub(crate) fn names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).collect()
}

/// Runs the named checks, or all.
pub(crate) fn run(names: &[&'static str]) -> Outcome {
    let mut report = Report::new("check");
    for step in STEPS.iter().filter(|step| names.is_empty() || names.contains(&step.name)) {
        report.step(step.name, step.run);
    }
    report.finish()
}

fn lockfile() -> Outcome<Note> {
    output(&mut cargo(["metadata", "--locked", "--format-version", "1"]))
        .map_err(|failure| {
            Failure::new(format!("Cargo.lock does not fit the manifests; build once and commit it\n{failure}"))
        })
        .map(|_| ().into())
}

fn format() -> Outcome<Note> {
    run_command(&mut cargo(["fmt", "--all", "--check"]))?;
    // Excluded from the workspace, so `--all` does not see it.
    run_command(&mut cargo(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])).map(Note::from)
}

fn clippy() -> Outcome<Note> {
    run_command(&mut cargo([
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        HOST_TESTS,
        "--",
        "-D",
        "warnings",
    ]))
    .map(Note::from)
}

/// A workspace build unifies features, so code that lacks one of them shows only here.
fn features() -> Outcome<Note> {
    for (package, features) in [("claudemesh-core", ""), ("claudemesh-client", ""), ("claudemesh-client", "daemon")] {
        let mut command = cargo(["clippy", "-p", package, "--lib", "--no-default-features"]);
        if !features.is_empty() {
            command.args(["--features", features]);
        }
        run_command(command.args(["--", "-D", "warnings"]))?;
    }
    Ok(Note::from(()))
}

fn docs() -> Outcome<Note> {
    run_command(cargo(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings")).map(Note::from)
}

fn fuzz_build() -> Outcome<Note> {
    if has_subcommand("fuzz") {
        return fuzz::build().map(Note::from);
    }
    // A developer may do without; CI may not, or the targets would rot unseen.
    if in_ci() { Err(Failure::new(fuzz::INSTALL)) } else { Ok(Note::Skipped(fuzz::INSTALL.to_owned())) }
}

/// Reads a file of the workspace.
fn read(path: &str) -> Outcome<String> {
    std::fs::read_to_string(root().join(path)).map_err(|error| Failure::new(format!("cannot read {path}: {error}")))
}

/// `Ok` when there are no findings.
fn verdict(title: &str, findings: &[String], seen: String) -> Outcome<Note> {
    if findings.is_empty() { Ok(Note::Done(seen)) } else { Err(Failure::list(title, findings)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut sorted = names();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), STEPS.len());
    }
}
