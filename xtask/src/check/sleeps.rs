//! No test sleeps: a test waits for the event or pauses the clock, or it is slow on one machine and flaky on another.

use crate::failure::Outcome;
use crate::process::root;
use crate::report::Note;
use crate::source::{self, SourceFile};

use super::verdict;

/// What a sleep looks like: by its path, or called by a name that was imported.
const PATHS: &[&str] = &["thread::sleep", "time::sleep", "time.sleep"];
const CALLS: &[&str] = &["sleep(", "sleep_until("];

pub(super) fn check() -> Outcome<Note> {
    let files = source::files(root(), &[".rs", ".py"])?;
    let findings: Vec<String> = files.iter().flat_map(violations).collect();
    verdict("tests sleep; wait for the event instead", &findings, format!("{} files", files.len()))
}

fn violations(file: &SourceFile) -> Vec<String> {
    let test_lines = file.test_lines();
    file.text
        .lines()
        .enumerate()
        .filter(|(at, line)| test_lines[*at] && sleeps(line))
        .map(|(at, line)| format!("{}:{}: {}", file.path, at + 1, line.trim()))
        .collect()
}

fn sleeps(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    PATHS.iter().any(|path| code.contains(path)) || CALLS.iter().any(|call| calls(code, call))
}

/// Whether `code` calls this function itself, not a method or a longer name that ends like it.
fn calls(code: &str, call: &str) -> bool {
    code.match_indices(call).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Spelled in two parts, so that this file passes its own check.
    const THREAD: &str = concat!("std::thread::", "sleep", "(pause);");
    const TOKIO: &str = concat!("tokio::time::", "sleep", "(pause).await;");
    const IMPORTED: &str = concat!("sleep", "(pause).await;");

    fn found(path: &str, text: &str) -> usize {
        violations(&SourceFile { path: path.to_owned(), text: text.to_owned() }).len()
    }

    #[test]
    fn every_way_to_sleep_in_a_test_is_found() {
        for call in [THREAD, TOKIO, IMPORTED] {
            assert_eq!(found("tests/src/delivery.rs", call), 1, "{call}");
            let inline = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n    {call}\n}}\n");
            assert_eq!(found("a/src/lib.rs", &inline), 1, "{call}");
        }
    }

    #[test]
    fn code_that_is_no_test_may_sleep() {
        assert_eq!(found("a/src/driver.rs", TOKIO), 0);
        assert_eq!(found("tests/src/bin/bench.rs", TOKIO), 0);
    }

    #[test]
    fn comments_methods_and_longer_names_are_no_sleep() {
        for line in ["// never sleep(1) here", "clock.sleep(1);", "fn nobody_may_sleep(pause: u64) {}"] {
            assert_eq!(found("a/tests/main.rs", line), 0, "{line}");
        }
    }
}
