//! Which bytes are JSON (RFC 8259) that every reader can read: no lone surrogates, no numbers beyond doubles, no towers of
//! brackets.

use super::MAX_VALUE_DEPTH;

type Rest<'a> = Option<&'a [u8]>;

pub(super) fn is_json(bytes: &[u8]) -> bool {
    core::str::from_utf8(bytes).is_ok() && value(space(bytes), 0).is_some_and(|rest| space(rest).is_empty())
}

fn space(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    &bytes[end.unwrap_or(bytes.len())..]
}

fn value(bytes: &[u8], depth: usize) -> Rest<'_> {
    let (first, rest) = bytes.split_first()?;
    match first {
        b'{' => items(rest, b'}', depth, |rest| {
            let rest = space(string(rest.strip_prefix(b"\"")?)?);
            Some(space(rest.strip_prefix(b":")?))
        }),
        b'[' => items(rest, b']', depth, Some),
        b'"' => string(rest),
        b't' => bytes.strip_prefix(b"true"),
        b'f' => bytes.strip_prefix(b"false"),
        b'n' => bytes.strip_prefix(b"null"),
        _ => number(bytes),
    }
}

/// What follows an opening bracket; `before` reads what stands before each value.
fn items<'a>(bytes: &'a [u8], close: u8, depth: usize, before: impl Fn(&'a [u8]) -> Rest<'a>) -> Rest<'a> {
    if depth == MAX_VALUE_DEPTH {
        return None;
    }
    let mut rest = space(bytes);
    if let Some(rest) = rest.strip_prefix(&[close]) {
        return Some(rest);
    }
    loop {
        rest = space(value(before(rest)?, depth + 1)?);
        let (next, after) = rest.split_first()?;
        match next {
            b',' => rest = space(after),
            next if *next == close => return Some(after),
            _ => return None,
        }
    }
}

/// What follows an opening quote.
fn string(mut rest: &[u8]) -> Rest<'_> {
    loop {
        let (first, after) = rest.split_first()?;
        rest = match first {
            b'"' => return Some(after),
            b'\\' => escape(after)?,
            0..0x20 => return None,
            _ => after,
        };
    }
}

fn escape(bytes: &[u8]) -> Rest<'_> {
    let (first, rest) = bytes.split_first()?;
    match first {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(rest),
        b'u' => match unit(rest)? {
            (0xd800..0xdc00, rest) => match unit(rest.strip_prefix(b"\\u")?)? {
                (0xdc00..0xe000, rest) => Some(rest),
                _ => None,
            },
            (0xdc00..0xe000, _) => None,
            (_, rest) => Some(rest),
        },
        _ => None,
    }
}

/// Four hexadecimal digits.
fn unit(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(4)?;
    let digit = |value: u32, byte: &u8| Some(value << 4 | char::from(*byte).to_digit(16)?);
    Some((digits.iter().try_fold(0, digit)?, rest))
}

fn number(bytes: &[u8]) -> Rest<'_> {
    let unsigned = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let mut rest = match unsigned.strip_prefix(b"0") {
        Some(rest) => rest,
        None => digits(unsigned)?,
    };
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = digits(fraction)?;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        rest = match exponent {
            [b'+' | b'-', exponent @ ..] => digits(exponent)?,
            exponent => digits(exponent)?,
        };
    }
    let text = core::str::from_utf8(&bytes[..bytes.len() - rest.len()]).ok()?;
    text.parse::<f64>().ok()?.is_finite().then_some(rest)
}

fn digits(bytes: &[u8]) -> Rest<'_> {
    match bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len()) {
        0 => None,
        end => Some(&bytes[end..]),
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_is_what_everybody_reads() {
        for good in [
            "0",
            "-0",
            "1.5e-3",
            "1E+9",
            "123456789012345678901234567890",
            " null ",
            "true",
            "\"\"",
            "[]",
            "{}",
            "[1, [2, {\"a\": \"\\ud83e\\udd80\\n\\u0000\"}] ]",
            "{\"a\":1,\"a\":2}",
            "\t\r\n\"é\"",
            "1e-400",
        ] {
            assert!(is_json(good.as_bytes()), "{good}");
            assert!(serde_json::from_str::<serde_json::Value>(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            " ",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-",
            "1e400",
            "NaN",
            "Infinity",
            "nul",
            "\"",
            "\"\n\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\ud800\"",
            "\"\\u12\"",
            "[1,]",
            "[1 2]",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":1,}",
            "[",
            "{",
            "]",
            "1 2",
            "'a'",
            "\u{feff}1",
            "[1}",
            "// 1",
        ] {
            assert!(!is_json(bad.as_bytes()), "{bad}");
        }
        assert!(!is_json(b"\"\xff\""));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| String::from("[").repeat(depth) + &"]".repeat(depth);
        assert!(is_json(nested(MAX_VALUE_DEPTH).as_bytes()));
        assert!(!is_json(nested(MAX_VALUE_DEPTH + 1).as_bytes()));
        assert!(!is_json("[".repeat(60_000).as_bytes()));
    }

    const PIECES: [&str; 24] = [
        "[", "]", "{", "}", "\"", ",", ":", "0", "1", "9", "e", "E", "+", "-", ".", "\\", "\\ud83e", "\\udd80", "u",
        "true", "null", " ", "\"a\":", "\n",
    ];

    proptest! {
        #[test]
        fn what_passes_is_what_a_json_library_reads(pieces in prop::collection::vec(prop::sample::select(&PIECES), 0..9)) {
            let text = pieces.concat();
            prop_assert_eq!(is_json(text.as_bytes()), serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        }

        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            is_json(&bytes);
        }
    }
}
