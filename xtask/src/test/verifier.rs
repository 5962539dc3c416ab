//! The independent verifier in Python: its own virtual environment below the target directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::process::{root, run, target_dir};

const FOLDER: &str = "tests/verifier";
const PACKAGES: &[&str] = &["cryptography==50.0.2", "pytest==9.2.0"];

/// Whether there is a verifier to run.
pub(super) fn exists() -> bool {
    root().join(FOLDER).is_dir()
}

/// The command that runs it, in an environment that has what it needs.
pub(super) fn command() -> Outcome<Command> {
    let mut command = Command::new(environment()?);
    // The sources stay free of caches: the clone may be read-only.
    command.args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", FOLDER]).current_dir(root());
    Ok(command)
}

/// The environment's interpreter. Made anew unless it holds exactly the wanted packages.
fn environment() -> Outcome<PathBuf> {
    let folder = target_dir().join("verifier-venv");
    let python = folder.join("bin/python");
    let stamp = folder.join("claudemesh-packages");
    let wanted = PACKAGES.join("\n");
    if python.exists() && std::fs::read_to_string(&stamp).is_ok_and(|held| held == wanted) {
        return Ok(python);
    }
    create(&folder, &python)?;
    std::fs::write(&stamp, wanted)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", stamp.display())))?;
    Ok(python)
}

fn create(folder: &Path, python: &Path) -> Outcome {
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder).current_dir(root())).map_err(
        |failure| {
            Failure::new(format!("{failure}\nthe verifier needs python3 with its venv module (Debian: python3-venv)"))
        },
    )?;
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES).current_dir(root());
    run(&mut pip).map_err(|failure| {
        Failure::new(format!(
            "{failure}\npip could not install {}: it needs a Python package index it can reach",
            PACKAGES.join(" and ")
        ))
    })
}
