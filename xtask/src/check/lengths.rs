//! How long a source file may be.

use crate::failure::Outcome;
use crate::process::root;
use crate::report::Note;
use crate::source::{self, SourceFile};

use super::verdict;

/// Lines of code that is not test code.
const MOST_CODE: usize = 500;
/// Lines of any kind.
const MOST_LINES: usize = 800;

pub(super) fn check() -> Outcome<Note> {
    let files = source::files(root(), &[".rs"])?;
    let findings: Vec<String> = files.iter().filter_map(violation).collect();
    verdict("files are too long; split them", &findings, format!("{} files", files.len()))
}

fn violation(file: &SourceFile) -> Option<String> {
    let test_lines = file.test_lines();
    let code = test_lines.iter().filter(|is_test| !**is_test).count();
    if code > MOST_CODE {
        return Some(format!("{}: {code} lines of code, at most {MOST_CODE}", file.path));
    }
    let all = test_lines.len();
    (all > MOST_LINES).then(|| format!("{}: {all} lines with tests, at most {MOST_LINES}", file.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, code: usize, tests: usize) -> Option<String> {
        let mut text = "fn code() {}\n".repeat(code);
        if tests > 0 {
            text.push_str(&format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn test() {}\n".repeat(tests - 3)));
        }
        violation(&SourceFile { path: path.to_owned(), text })
    }

    #[test]
    fn code_up_to_the_limit_passes_and_one_line_more_does_not() {
        assert_eq!(found("a/src/lib.rs", 500, 0), None);
        assert_eq!(found("a/src/lib.rs", 501, 0).as_deref(), Some("a/src/lib.rs: 501 lines of code, at most 500"));
    }

    #[test]
    fn tests_do_not_count_as_code_but_as_lines() {
        assert_eq!(found("a/src/lib.rs", 400, 400), None);
        assert_eq!(found("a/src/lib.rs", 400, 401).as_deref(), Some("a/src/lib.rs: 801 lines with tests, at most 800"));
    }

    #[test]
    fn a_test_file_has_only_the_outer_limit() {
        assert_eq!(found("a/src/wire/tests.rs", 800, 0), None);
        assert!(found("a/src/wire/tests.rs", 801, 0).is_some());
    }
}
