//! Parsers of argument values. Each error says what would have been right.

use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser};
use claudemesh_client::{MessageId, templates};
use claudemesh_core::address::SessionName;
use jiff::{SignedDuration, Span, SpanRelativeTo};

/// The name of a template; the help lists them.
pub(crate) fn template() -> PossibleValuesParser {
    templates().map(|(name, about)| PossibleValue::new(name).help(about)).collect::<Vec<_>>().into()
}

/// A span of time with a unit: `30s`, `12h`, `7d`.
///
/// # Errors
/// The text is no positive span of fixed length, or shorter than a millisecond.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a length of time; write it like 30s, 15m, 12h or 7d");
    let span: Span = text.trim().parse().map_err(|_| wrong())?;
    // Months and years have no fixed length: refused here.
    let length: SignedDuration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    let length = Duration::try_from(length).map_err(|_| wrong())?;
    if length < Duration::from_millis(1) { Err(wrong()) } else { Ok(length) }
}

/// A span of time of whole seconds, as `--expires` and `--ttl` count.
///
/// # Errors
/// As [`duration`], or shorter than a second.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    match duration(text)?.as_secs() {
        0 => Err(format!("`{text}` is too short: a second at least, like 30s or 7d")),
        seconds => Ok(seconds),
    }
}

/// A time of whole seconds for a reader: `30d`, `36h`.
pub(crate) fn span(seconds: u64) -> String {
    let units = [(24 * 3600, "d"), (3600, "h"), (60, "m")];
    let whole = units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

/// How long to wait: a span of time, or a bare number of seconds.
///
/// # Errors
/// The text is neither.
pub(crate) fn patience(text: &str) -> Result<Duration, String> {
    match text.trim().parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
        Err(_) => duration(text),
    }
}

/// A message id in its canonical form.
///
/// # Errors
/// The text is no UUID.
pub(crate) fn message_id(text: &str) -> Result<String, String> {
    match text.parse::<MessageId>() {
        Ok(id) => Ok(id.to_string()),
        Err(_) => {
            Err(format!("`{text}` is not a message id; an id is a UUID like 0190c2f4-7e51-7abc-8def-0123456789ab"))
        }
    }
}

/// An address to listen on, `HOST:PORT`.
///
/// # Errors
/// There is no host or no port.
pub(crate) fn listen(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.into()),
        _ => {
            Err(format!("`{text}` is not an address to listen on; write it like 127.0.0.1:7900 (port 0: any free one)"))
        }
    }
}

/// A broker's address, `ws://` or `wss://`.
///
/// # Errors
/// The scheme is another one, or nothing follows it.
pub(crate) fn broker(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("ws://").or_else(|| text.strip_prefix("wss://")).unwrap_or_default();
    if host.is_empty() {
        return Err(format!("`{text}` is not a broker's address; write it like wss://mesh.example.org"));
    }
    Ok(text.into())
}

/// The one address a message goes to.
///
/// # Errors
/// There is none, or there are several.
pub(crate) fn address(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err(
            "the address is empty; write a name like bob, bob/session, 8 digits of a key, @group, #topic or *".into()
        );
    }
    if text.contains(',') {
        return Err("one address at a time: run `claudemesh send` once for each".into());
    }
    Ok(text.into())
}

/// A place in a log, which is also the version of a key: `OFFSET.INDEX`.
///
/// # Errors
/// The text is none.
pub(crate) fn place(text: &str) -> Result<String, String> {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((offset, index)) if number(offset) && number(index) => Ok(text.into()),
        _ => Err(format!("`{text}` is not a place or version; write it as it was printed, like 12.0")),
    }
}

/// The version a key is expected to have; `none` when it must not exist.
///
/// # Errors
/// The text is no version.
pub(crate) fn version(text: &str) -> Result<String, String> {
    if text == "none" {
        return Ok("0.0".into());
    }
    place(text).map_err(|error| format!("{error}, or none for a key that must not exist"))
}

/// Name of a session.
///
/// # Errors
/// The text is none.
pub(crate) fn session(text: &str) -> Result<String, String> {
    text.parse::<SessionName>().map(String::from).map_err(|error| error.to_string())
}

/// Text that may not be empty, such as a label.
///
/// # Errors
/// The text is empty.
pub(crate) fn filled(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it may not be empty".into()) } else { Ok(text.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_with_units_are_read() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("7d"), Ok(7 * 86_400));
        assert_eq!(seconds("2w"), Ok(14 * 86_400));
        assert_eq!(seconds("1h 30m"), Ok(5400));
        assert_eq!(patience("5"), Ok(Duration::from_secs(5)));
        assert_eq!(patience("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn wrong_spans_name_right_ones() {
        for text in ["", "7", "soon", "-3s", "3s ago", "0s", "1y", "2mo", "99999999999999999999d", "7d\u{1b}"] {
            assert!(duration(text).unwrap_err().contains("7d"), "{text}");
        }
        assert!(seconds("10ms").is_err());
        assert!(patience("-1").is_err());
    }

    #[test]
    fn addresses_have_their_parts() {
        assert!(listen("127.0.0.1:0").is_ok() && listen("[::1]:7900").is_ok() && listen("localhost:7900").is_ok());
        assert!(listen("7900").is_err() && listen(":7900").is_err() && listen("h:70000").is_err());
        assert!(broker("ws://h:1").is_ok() && broker("wss://h").is_ok());
        assert!(broker("https://h").is_err() && broker("wss://").is_err());
        for text in ["bob/work", "@backend/api", "#deploys", "*", "1a2b3c4d"] {
            assert_eq!(address(text), Ok(text.into()));
        }
        assert!(address("").is_err() && address("a,b").is_err());
    }

    #[test]
    fn versions_are_places_or_none() {
        assert_eq!(
            (place("12.0"), version("12.63"), version("none")),
            (Ok("12.0".into()), Ok("12.63".into()), Ok("0.0".into()))
        );
        for text in ["", "12", "12.", ".0", "12.0.1", "-1.0", "a.b", "1 .0", "none "] {
            assert!(place(text).is_err() && version(text).unwrap_err().contains("12.0"), "{text}");
        }
        assert!(place("none").is_err());
    }

    #[test]
    fn message_ids_become_canonical() {
        let id = "0190c2f4-7e51-7abc-8def-0123456789ab";
        assert_eq!(message_id(id), Ok(id.into()));
        assert!(message_id("0190").is_err() && message_id("").is_err());
    }
}
