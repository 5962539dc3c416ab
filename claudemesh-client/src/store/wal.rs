//! Room in the write-ahead log before it is needed: bytes inside a file become durable several times faster than bytes that
//! make it grow. SQLite takes whatever follows the last valid frame for leftovers, so zeros there mean nothing.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Added at a time, so that no commit waits long behind it.
static PIECE: [u8; 128 * 1024] = [0; 128 * 1024];
const PAUSE: Duration = Duration::from_millis(50);

/// Grows the log of `db` in the background, up to `bytes`. Best effort: without the room commits are slower, no more.
pub(super) fn reserve(db: &Path, bytes: u64) {
    let mut log = db.as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    let _ = thread::Builder::new().name("claudemesh-wal".into()).spawn(move || grow(&log, bytes));
}

fn grow(log: &Path, bytes: u64) -> io::Result<()> {
    thread::sleep(PAUSE * 4);
    // Never created here: without a log there is no store any more.
    let mut file = OpenOptions::new().append(true).open(log)?;
    while file.metadata()?.len() < bytes {
        file.write_all(&PIECE)?;
        file.sync_data()?;
        thread::sleep(PAUSE);
    }
    Ok(())
}
