//! The machine: what bounds the figures.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::Fallible;
use crate::report::quantile;

const WRITES: usize = 200;
const BLOCK: [u8; 4096] = [7; 4096];

/// Processor, load, disk and commit.
pub(crate) fn describe(folder: &Path) -> Fallible<Vec<(&'static str, String)>> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let commit = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let commit = commit.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default();
    let (grow, grow_high) = fsync(folder, true)?;
    let (over, over_high) = fsync(folder, false)?;
    Ok(vec![
        ("processor", format!("{cores} × {}", model.unwrap_or("?"))),
        ("load before", load),
        ("commit", commit),
        (
            "fsync",
            format!("{over:.2} ms (p90 {over_high:.2}) in place, {grow:.2} ms (p90 {grow_high:.2}) growing a file"),
        ),
    ])
}

/// Median and 90th percentile of making 4 KiB durable, in milliseconds.
fn fsync(folder: &Path, grow: bool) -> Fallible<(f64, f64)> {
    let path = folder.join("fsync");
    let mut file = File::create(&path)?;
    if !grow {
        for _ in 0..WRITES {
            file.write_all(&BLOCK)?;
        }
        file.sync_all()?;
        file.seek(SeekFrom::Start(0))?;
    }
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        file.write_all(&BLOCK)?;
        let started = Instant::now();
        file.sync_data()?;
        times.push(started.elapsed());
    }
    fs::remove_file(path)?;
    Ok((quantile(&mut times, 0.5), quantile(&mut times, 0.9)))
}

/// Processor time of this process so far, in microseconds: unlike a rate, it says the same on a busy machine.
pub(crate) fn processor_time() -> Option<f64> {
    const TICK_MICROS: f64 = 10_000.0;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in the second field may hold spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) * TICK_MICROS)
}
