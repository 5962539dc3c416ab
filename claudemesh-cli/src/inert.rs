//! Makes text from other people safe to show on a terminal.
//!
//! Names, labels and messages are written by peers. Printed raw, an escape sequence could rewrite the screen, a
//! bidirectional override could turn a name around, and invisible characters could hide text from the reader. Here
//! every such character becomes its visible code, `\u{1b}`. What is printed as JSON is left as it is.

use std::borrow::Cow;
use std::fmt::Write;

/// Text for one line: line breaks and tabs are made visible, too.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escape(text, |c| is_unsafe(c) || is_joiner(c))
}

/// The lines of a longer text. Line breaks separate, tabs stay.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.lines().map(|line| escape(line, |c| c != '\t' && is_unsafe(c)))
}

fn escape(text: &str, is_bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_bad) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_bad(c) {
            // Writing to a string cannot fail.
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Controls (C0, C1, delete), other line breaks, bidirectional controls, and what is not visible at all.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Joiners and variation selectors: part of some scripts and of emoji, but in a name a way to look like another.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// Columns a text takes on a terminal. Close enough to align a table; never too small for wrapping.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Columns a character takes.
pub(crate) fn char_width(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f | 0x20d0..=0x20ff | 0x200c | 0x200d | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f000..=0x1ffff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_untouched() {
        for text in ["bob", "Zoë", "李雷", "בוב", "a b", "👩🏽", ""] {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn terminal_escapes_become_visible() {
        assert_eq!(line("\u{1b}[2Jhi\u{7}"), "\\u{1b}[2Jhi\\u{7}");
        assert_eq!(line("\u{9b}31mred"), "\\u{9b}31mred");
        assert_eq!(line("a\rb\nc\td\u{7f}"), "a\\u{d}b\\u{a}c\\u{9}d\\u{7f}");
    }

    #[test]
    fn direction_and_invisible_characters_become_visible() {
        for c in ['\u{202e}', '\u{2066}', '\u{200f}', '\u{200b}', '\u{2028}', '\u{feff}', '\u{e0041}', '\u{e0100}'] {
            let text = format!("bob{c}");
            assert_eq!(line(&text), format!("bob\\u{{{:x}}}", u32::from(c)));
            assert!(lines(&text).all(|line| !line.contains(c)));
        }
    }

    #[test]
    fn a_longer_text_keeps_lines_tabs_and_emoji() {
        let shown: Vec<_> = lines("a\tb\r\n👨\u{200d}👩\nlone\rcr\n\nend").collect();
        assert_eq!(shown, ["a\tb", "👨\u{200d}👩", "lone\\u{d}cr", "", "end"]);
    }

    #[test]
    fn widths_count_columns() {
        assert_eq!((width("bob"), width("李雷"), width("e\u{301}")), (3, 4, 1));
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_moves_the_cursor_survives(text in ".*") {
            proptest::prop_assert!(!line(&text).chars().any(char::is_control));
            for shown in lines(&text) {
                proptest::prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\t'));
            }
        }
    }
}
