//! The Python module under the load that the Rust client gets right before it, and what it costs to import.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::options::Options;
use crate::report::{Report, quantile};
use crate::{Fallible, pairs};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../claudemesh-py/bench.py");
/// Imports whose median counts.
const IMPORTS: usize = 11;
const IMPORT: &str = "\
import time
started = time.perf_counter()
import claudemesh
print(time.perf_counter() - started)";

pub(crate) async fn measure(options: &Options, folder: &Path, report: &mut Report) -> Fallible<()> {
    let Some(python) = &options.python else {
        report.note("Python was left out: `cargo xtask python bench` builds the module and measures it");
        return Ok(());
    };
    let rust = pairs::rates(options, folder.join("beside-python")).await?;
    let mut command = Command::new(python);
    command.arg(PROGRAM).arg(folder.join("python"));
    for (name, value) in [("--pairs", options.pairs), ("--window", options.window), ("--size", options.size)] {
        command.args([name, &value.to_string()]);
    }
    command.args(["--seconds", &options.seconds().as_secs().to_string()]);
    let measured: Value = serde_json::from_str(&output(&mut command)?)?;
    let load = format!("{} pairs, window {}, {} B", options.pairs, options.window, options.size);
    for (name, what, rust) in [("delivered", "delivered", rust.delivered), ("read", "read by programs", rust.read)] {
        let rate = measured[name].as_f64().ok_or("the Python program told no rate")?;
        report.plain(&format!("Rust, {load}: {what}"), rust, "messages/s");
        report.plain(&format!("Python, {load}: {what}"), rate, "messages/s");
        report.at_least(&format!("Python of Rust: {what}"), rate / rust, "×", 0.4);
    }
    let mut imports = Vec::with_capacity(IMPORTS);
    for _ in 0..IMPORTS {
        let seconds = output(Command::new(python).args(["-c", IMPORT]))?.trim().parse::<f64>()?;
        imports.push(Duration::from_secs_f64(seconds));
    }
    report.at_most("import claudemesh, p50", quantile(&mut imports, 0.5), "ms", 60.0);
    if let Some(wheel) = &options.wheel {
        let bytes = std::fs::metadata(wheel)?.len();
        report.at_most("wheel", bytes as f64 / (1024.0 * 1024.0), "MiB", 12.0);
    }
    Ok(())
}

fn output(command: &mut Command) -> Fallible<String> {
    let out = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !out.status.success() {
        return Err(format!("the Python program ended with {}", out.status).into());
    }
    Ok(String::from_utf8(out.stdout)?)
}
