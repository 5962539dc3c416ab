//! Text from standard input, bounded before it is kept.

use std::io::{BufRead, Read};

use claudemesh_client::{Error, ErrorKind};

use crate::app::App;

/// All of standard input: `limit + 1` bytes at most, so that the caller sees when it is too long.
///
/// # Errors
/// It cannot be read.
pub(crate) fn all(app: &mut App, limit: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut bounded = (&mut app.input.reader).take(limit as u64 + 1);
    bounded.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// The first line of standard input that is not blank, of `limit` bytes at most.
///
/// # Errors
/// It cannot be read, or is not UTF-8.
pub(crate) fn line(app: &mut App, limit: usize) -> Result<String, Error> {
    let mut bounded = (&mut app.input.reader).take(limit as u64);
    let mut line = Vec::new();
    while bounded.read_until(b'\n', &mut line).map_err(unreadable)? > 0 && line.trim_ascii().is_empty() {
        line.clear();
    }
    String::from_utf8(line).map_err(|_| Error::new(ErrorKind::Usage, "standard input is not UTF-8 text"))
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Usage, "standard input cannot be read").with_source(error)
}
