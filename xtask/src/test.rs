//! `cargo xtask test`: every test that needs nothing but cargo and python3.

mod tally;
mod verifier;

use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::process::{cargo, has_subcommand, run as run_command, run_watching};
use crate::report::{Note, Report};
use tally::Tally;

/// Runs all tests, also after a failure, and prints what ran and how long it took.
pub(crate) fn run() -> Outcome {
    let mut report = Report::new("test");
    // End-to-end tests drive the real binary, which a test build alone would not make.
    report.step("build", || run_command(&mut cargo(["build", "--workspace", "--bins"])));
    report.step("tests", || {
        if has_subcommand("nextest") {
            counted(&mut cargo(["nextest", "run", "--workspace", "--no-fail-fast"]))
        } else {
            counted(&mut cargo(["test", "--workspace", "--tests", "--no-fail-fast"]))
        }
    });
    report.step("doctests", || counted(&mut cargo(["test", "--doc", "--workspace", "--no-fail-fast"])));
    if verifier::exists() {
        report.step("verifier", || counted(&mut verifier::command()?));
    }
    report.finish()
}

/// Runs a test program and counts what it reports.
pub(crate) fn counted(command: &mut Command) -> Outcome<Note> {
    let mut total = Tally::default();
    match run_watching(command, |line| total.add(Tally::of_line(line))) {
        Ok(()) => Ok(Note::Done(total.to_string())),
        Err(failure) => Err(Failure::new(format!("{failure}; {total}"))),
    }
}
