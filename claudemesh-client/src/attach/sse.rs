//! Parses a stream of server-sent events, byte by byte as they come. Knows nothing of what they mean.

/// Longest event we take. A message is at most 128 KiB of text, which JSON can make six times as long.
const EVENT_LIMIT: usize = 4 * 1024 * 1024;

/// One event of the stream, or a sign of life.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Name; empty when none was given.
    pub(super) name: String,
    /// Data.
    pub(super) data: String,
}

/// The stream is not one of server-sent events, or an event is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the daemon's event stream cannot be read")]
pub(super) struct SseError;

/// The parser.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    after_return: bool,
    name: String,
    data: Vec<String>,
    size: usize,
}

impl Parser {
    /// Takes the next bytes; returns the events that they complete.
    ///
    /// # Errors
    /// [`SseError`]; the stream is of no use after it.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, SseError> {
        let mut frames = Vec::new();
        for &byte in bytes {
            let follows_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    frames.extend(self.end_line(&line)?);
                }
                _ => {
                    self.size += 1;
                    if self.size > EVENT_LIMIT {
                        return Err(SseError);
                    }
                    self.line.push(byte);
                }
            }
        }
        Ok(frames)
    }

    fn end_line(&mut self, line: &[u8]) -> Result<Option<Frame>, SseError> {
        if line.is_empty() {
            self.size = 0;
            let name = std::mem::take(&mut self.name);
            let data = std::mem::take(&mut self.data);
            let frame = Frame { name, data: data.join("\n") };
            return Ok((!data.is_empty()).then_some(frame));
        }
        let line = std::str::from_utf8(line).map_err(|_| SseError)?;
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => self.data.push(value.to_owned()),
            // Comments, ids (the position is in the data) and fields of later versions. A line of comment alone is no
            // part of an event, and must not count towards its size for ever.
            _ if self.data.is_empty() && self.name.is_empty() => self.size = 0,
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(name: &str, data: &str) -> Frame {
        Frame { name: name.into(), data: data.into() }
    }

    const STREAM: &str = ": hi\n\nid: 4\ndata: {\"a\":1}\n\nevent: end\ndata:\r\n\r\ndata: two\ndata: lines\rdata\n\n";

    fn expected() -> Vec<Frame> {
        vec![frame("", "{\"a\":1}"), frame("end", ""), frame("", "two\nlines\n")]
    }

    #[test]
    fn events_are_read_whatever_ends_their_lines() {
        assert_eq!(Parser::default().push(STREAM.as_bytes()).unwrap(), expected());
    }

    #[test]
    fn too_long_an_event_ends_the_stream_but_comments_go_on_for_ever() {
        let mut parser = Parser::default();
        for _ in 0..EVENT_LIMIT / 1000 + 2 {
            parser.push(&[b":".as_slice(), &[b'x'; 1000], b"\n"].concat()).unwrap();
        }
        assert_eq!(parser.push(b"data: 1\n\n").unwrap(), [frame("", "1")]);
        assert_eq!(parser.push(&vec![b'x'; EVENT_LIMIT + 1]), Err(SseError));
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_makes_no_difference(cut in 0..=STREAM.len()) {
            let mut parser = Parser::default();
            let mut frames = parser.push(&STREAM.as_bytes()[..cut]).unwrap();
            frames.extend(parser.push(&STREAM.as_bytes()[cut..]).unwrap());
            prop_assert_eq!(frames, expected());
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = Parser::default().push(&bytes);
        }
    }
}
