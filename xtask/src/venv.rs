//! Virtual environments of Python, below the target directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::process::{root, run, target_dir};

/// The interpreter of an environment. Made anew unless it was made for exactly these packages.
pub(crate) fn interpreter(name: &str, packages: &[&str]) -> Outcome<PathBuf> {
    let folder = target_dir().join(name);
    let python = folder.join("bin/python");
    let stamp = folder.join("claudemesh-packages");
    let wanted = packages.join("\n");
    if python.exists() && std::fs::read_to_string(&stamp).is_ok_and(|held| held == wanted) {
        return Ok(python);
    }
    create(&folder, &python, packages)?;
    std::fs::write(&stamp, wanted)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", stamp.display())))?;
    Ok(python)
}

fn create(folder: &Path, python: &Path, packages: &[&str]) -> Outcome {
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder).current_dir(root())).map_err(
        |failure| Failure::new(format!("{failure}\nthis needs python3 with its venv module (Debian: python3-venv)")),
    )?;
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages).current_dir(root());
    run(&mut pip).map_err(|failure| {
        Failure::new(format!(
            "{failure}\npip could not install {}: it needs a Python package index it can reach",
            packages.join(" and ")
        ))
    })
}
