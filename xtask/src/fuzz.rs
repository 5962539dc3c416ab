//! `cargo xtask fuzz`: runs one fuzz target on the stable compiler, in a target directory of its own.

use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::process::{cargo, has_subcommand, root, run as run_command, target_dir};

/// The fuzz targets, one for each entry point of untrusted bytes.
pub(crate) const TARGETS: &[&str] = &["frame", "envelope", "log_entry", "roster", "link_address", "http_body"];

/// How to get what fuzzing needs.
pub(crate) const INSTALL: &str = "cargo-fuzz is not installed: `cargo install --locked cargo-fuzz`";

/// Fuzzes `target` until stopped; `arguments` go to libFuzzer.
pub(crate) fn run(target: &str, arguments: &[String]) -> Outcome {
    if !has_subcommand("fuzz") {
        return Err(Failure::new(INSTALL));
    }
    let corpus = root().join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&corpus)
        .map_err(|error| Failure::new(format!("cannot create {}: {error}", corpus.display())))?;
    let mut command = cargo_fuzz("run");
    command.arg(target).arg(&corpus);
    // New findings go to the first folder; the checked-in seeds are only read.
    let seeds = root().join("fuzz/seeds").join(target);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    run_command(command.arg("--").args(arguments))
}

/// Builds every fuzz target, without optimisation: whether it builds is all that is asked.
pub(crate) fn build() -> Outcome {
    run_command(cargo_fuzz("build").arg("--dev"))
}

fn cargo_fuzz(verb: &str) -> Command {
    // Sanitizers are unstable flags; the compiler itself is the stable one.
    let mut command = cargo(["fuzz", verb]);
    command.env("RUSTC_BOOTSTRAP", "1").arg("--target-dir").arg(target_dir().join("fuzz"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_program_and_every_program_is_a_target() {
        let mut programs: Vec<String> = std::fs::read_dir(root().join("fuzz/fuzz_targets"))
            .expect("the folder exists")
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().trim_end_matches(".rs").to_owned())
            .collect();
        programs.sort();
        let mut targets = TARGETS.to_vec();
        targets.sort_unstable();
        assert_eq!(programs, targets);

        let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("readable");
        for target in TARGETS {
            assert!(manifest.contains(&format!("name = \"{target}\"")), "{target} is not in fuzz/Cargo.toml");
        }
    }
}
