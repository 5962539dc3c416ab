//! `cargo xtask bench`: the benchmark of the end-to-end package, in release mode.

use crate::failure::{Failure, Outcome};
use crate::process::{cargo, root, run as run_command};

const PROGRAM: &str = "tests/src/bin/bench.rs";

/// Builds and runs the benchmark with `arguments`.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    if !root().join(PROGRAM).exists() {
        return Err(Failure::new(format!("there is no benchmark: {PROGRAM} does not exist")));
    }
    // The daemon and broker it measures are those of the real binary.
    run_command(&mut cargo(["build", "--release", "-p", "claudemesh-cli"]))?;
    let program = ["run", "--release", "-p", "claudemesh-tests", "--features", "jetstream", "--bin", "bench", "--"];
    run_command(cargo(program).args(arguments))
}
