//! `cargo xtask python`: the wheel of the Python module, built by maturin, installed into an environment without the
//! sources, type-checked and tested there.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Outcome};
use crate::process::{cargo, root, run as run_command, target_dir};
use crate::report::{Note, Report};
use crate::{bench, test, venv};

const CRATE: &str = "claudemesh-py";
const PACKAGES: &[&str] =
    &["maturin==1.16.0", "pytest==9.2.0", "mypy==2.4.1", "nbclient==0.11.0", "nbformat==5.11.1", "ipykernel==7.4.0"];
const ENVIRONMENT: &str = "python-venv";

/// Runs every step, also after a failure, as far as there is a wheel to go on with.
pub(crate) fn run() -> Outcome {
    let mut report = Report::new("python");
    let mut installed = None;
    report.step("wheel", || {
        let python = venv::interpreter(ENVIRONMENT, PACKAGES)?;
        let wheel = wheel(&python, "dev")?;
        install(&python, &wheel)?;
        let note = size(&wheel);
        installed = Some((python, wheel));
        Ok(Note::Done(note))
    });
    let Some((python, wheel)) = installed else { return report.finish() };
    // Some tests speak to the daemon of the real binary.
    report.step("binary", || run_command(&mut cargo(["build", "--workspace", "--bins"])));
    report.step("types", || {
        let sources = root().join(CRATE);
        let strict = ["-m", "mypy", "--strict", "--python-version", "3.11", "python/claudemesh", "tests"];
        run_command(clean(&python).args(strict).arg("--cache-dir").arg(cache()).current_dir(&sources))?;
        // Away from the sources: it compares stubs and module as they are installed.
        let stubs = ["-m", "mypy.stubtest", "claudemesh", "--allowlist"];
        run_command(clean(&python).args(stubs).arg(sources.join("stubtest.txt")).current_dir(target_dir()))
    });
    report.step("tests", || {
        let mut pytest = clean(&python);
        pytest.args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]);
        pytest.current_dir(root().join(CRATE)).env("CLAUDEMESH_WHEEL", &wheel);
        pytest.env("CLAUDEMESH_BINARY", target_dir().join("debug/claudemesh"));
        test::counted(&mut pytest)
    });
    report.finish()
}

/// Measures the module in release mode, beside the Rust client.
pub(crate) fn bench(arguments: &[String]) -> Outcome {
    let python = venv::interpreter(ENVIRONMENT, PACKAGES)?;
    let wheel = wheel(&python, "release")?;
    install(&python, &wheel)?;
    let mut all = vec!["--only".to_owned(), "python".to_owned()];
    all.extend(["--python".to_owned(), python.display().to_string()]);
    all.extend(["--wheel".to_owned(), wheel.display().to_string()]);
    all.extend_from_slice(arguments);
    bench::run(&all)
}

/// An interpreter that sees nothing but its environment.
fn clean(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.env_remove("PYTHONPATH").env_remove("PYTHONHOME");
    command
}

fn cache() -> PathBuf {
    target_dir().join("mypy-cache")
}

/// Builds the wheel; the only one in its folder.
fn wheel(python: &Path, profile: &str) -> Outcome<PathBuf> {
    let folder = target_dir().join("wheels").join(profile);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .map_err(|error| Failure::new(format!("cannot empty {}: {error}", folder.display())))?;
    }
    let mut maturin = clean(python);
    maturin.args(["-m", "maturin", "build", "--locked", "--strip", "--compatibility", "linux"]);
    maturin.args(["--profile", profile, "--interpreter"]).arg(python).arg("--out").arg(&folder);
    maturin.arg("--manifest-path").arg(root().join(CRATE).join("Cargo.toml")).current_dir(root());
    run_command(&mut maturin)?;
    let built = std::fs::read_dir(&folder).ok().and_then(|mut entries| entries.next()).and_then(Result::ok);
    built.map(|entry| entry.path()).ok_or_else(|| Failure::new("maturin left no wheel"))
}

fn install(python: &Path, wheel: &Path) -> Outcome {
    let mut pip = clean(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]);
    run_command(pip.arg("--force-reinstall").arg(wheel).current_dir(target_dir()))
}

fn size(wheel: &Path) -> String {
    let bytes = std::fs::metadata(wheel).map_or(0, |metadata| metadata.len());
    format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
}
