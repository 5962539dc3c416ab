//! Text from the command line and from standard input, bounded before it is kept.

use std::io::{BufRead, Read};

use claudemesh_client::{Error, ErrorKind};

use crate::app::App;

/// What a text may be.
pub(crate) struct Kind {
    /// What it becomes, as in "the limit of one message".
    pub(crate) becomes: &'static str,
    /// The most bytes it has.
    pub(crate) most: usize,
}

/// A text from the command line, or from standard input when the argument is `-`. It has a byte at least.
///
/// # Errors
/// It is empty, too long or not UTF-8, or standard input cannot be read.
pub(crate) fn text(app: &mut App, argument: String, kind: &Kind) -> Result<String, Error> {
    let (text, place) =
        if argument == "-" { (all(app, kind)?, "standard input is empty") } else { (argument, "the text is empty") };
    if text.is_empty() {
        let hint = format!("{} has 1 byte at least and {} KiB at most", kind.becomes, kind.most / 1024);
        return Err(Error::new(ErrorKind::Usage, place).with_hint(hint));
    }
    if text.len() > kind.most { Err(too_long(kind)) } else { Ok(text) }
}

/// All of standard input as text. A person at a terminal is told how to end it.
///
/// # Errors
/// It cannot be read, is too long, or is not UTF-8.
pub(crate) fn all(app: &mut App, kind: &Kind) -> Result<String, Error> {
    if app.input.terminal {
        app.output.note(|page| page.line("type the text; Ctrl-D on a line of its own ends it"));
    }
    let mut bytes = Vec::new();
    // One byte more than permitted, to see that it is too long.
    let mut bounded = (&mut app.input.reader).take(kind.most as u64 + 1);
    bounded.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > kind.most {
        return Err(too_long(kind));
    }
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        Error::new(ErrorKind::Usage, format!("standard input is not UTF-8 text: byte {place} belongs to none"))
            .with_hint("only text goes in; encode other data, such as with base64")
    })
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

fn too_long(Kind { becomes, most }: &Kind) -> Error {
    let message = format!("the text is over {} KiB ({most} bytes), the limit of {becomes}", most / 1024);
    Error::new(ErrorKind::Usage, message).with_hint("send it in parts, or send where it can be found")
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Usage, "standard input cannot be read").with_source(error)
}
