//! The independent verifier in Python: its own virtual environment below the target directory.

use std::process::Command;

use crate::failure::Outcome;
use crate::process::root;
use crate::venv;

const FOLDER: &str = "tests/verifier";
const PACKAGES: &[&str] = &["cryptography==50.0.2", "pytest==9.2.0"];

/// Whether there is a verifier to run.
pub(super) fn exists() -> bool {
    root().join(FOLDER).is_dir()
}

/// The command that runs it, in an environment that has what it needs.
pub(super) fn command() -> Outcome<Command> {
    let mut command = Command::new(venv::interpreter("verifier-venv", PACKAGES)?);
    // The sources stay free of caches: the clone may be read-only.
    command.args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", FOLDER]).current_dir(root());
    Ok(command)
}
