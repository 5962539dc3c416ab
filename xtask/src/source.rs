//! The source files of the workspace, and which of their lines are test code.

use std::path::Path;

use crate::failure::{Failure, Outcome};

/// A source file.
pub(crate) struct SourceFile {
    /// Relative to the workspace, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Folders that hold nothing written by hand.
const GENERATED: &[&str] = &["target", "corpus", "artifacts", "node_modules", "__pycache__"];

/// Every file below `root` that ends with one of `extensions`.
pub(crate) fn files(root: &Path, extensions: &[&str]) -> Outcome<Vec<SourceFile>> {
    let mut found = Vec::new();
    walk(root, "", extensions, &mut found)
        .map_err(|error| Failure::new(format!("cannot read the sources: {error}")))?;
    found.sort_by(|a: &SourceFile, b| a.path.cmp(&b.path));
    Ok(found)
}

fn walk(dir: &Path, prefix: &str, extensions: &[&str], found: &mut Vec<SourceFile>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if name.starts_with('.') {
            continue;
        }
        let path = format!("{prefix}{name}");
        if kind.is_dir() && !GENERATED.contains(&name.as_str()) {
            walk(&entry.path(), &format!("{path}/"), extensions, found)?;
        } else if kind.is_file() && extensions.iter().any(|extension| name.ends_with(extension)) {
            found.push(SourceFile { path, text: std::fs::read_to_string(entry.path())? });
        }
    }
    Ok(())
}

impl SourceFile {
    /// For each line, whether it is test code. Relies on rustfmt's indentation.
    pub(crate) fn test_lines(&self) -> Vec<bool> {
        let lines: Vec<&str> = self.text.lines().collect();
        if self.is_test_file() {
            return vec![true; lines.len()];
        }
        let mut is_test = vec![false; lines.len()];
        let mut at = 0;
        while at < lines.len() {
            let trimmed = lines[at].trim_start();
            if trimmed.starts_with("#[cfg(test)]") || trimmed.starts_with("#[cfg(all(test") {
                let end = item_end(&lines, at);
                is_test[at..end].fill(true);
                at = end;
            } else {
                at += 1;
            }
        }
        is_test
    }

    /// Whether the whole file is test code. A binary of the end-to-end package, such as the benchmark, is a program.
    fn is_test_file(&self) -> bool {
        let path = self.path.as_str();
        let is_program = path.contains("/src/bin/") || path.contains("/src/bench/");
        let in_tests = path.starts_with("tests/") || path.contains("/tests/") || path.contains("/benches/");
        path.ends_with("/tests.rs") || (in_tests && !is_program)
    }
}

/// The line after the item whose first attribute stands at `start`.
fn item_end(lines: &[&str], start: usize) -> usize {
    let indent = indent_of(lines[start]);
    let mut at = start;
    // The attribute may share its line with the item.
    if lines[at].trim_start().trim_end().ends_with(']') {
        while at < lines.len() && is_preamble(lines[at]) {
            at += 1;
        }
    }
    let Some(first) = lines.get(at) else { return lines.len() };
    let first = first.trim_end();
    if first.ends_with(';') || first.ends_with('}') {
        return at + 1;
    }
    for (offset, line) in lines.iter().enumerate().skip(at + 1) {
        if indent_of(line) == indent && line.trim_start().starts_with('}') {
            return offset + 1;
        }
    }
    lines.len()
}

fn is_preamble(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with("#[") || line.starts_with("//")
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test_line_numbers(path: &str, text: &str) -> Vec<usize> {
        let file = SourceFile { path: path.to_owned(), text: text.to_owned() };
        file.test_lines().iter().enumerate().filter_map(|(at, is_test)| is_test.then_some(at + 1)).collect()
    }

    #[test]
    fn a_test_module_is_test_code_up_to_its_brace() {
        let text = "fn a() {\n}\n\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\n\nfn c() {\n}\n";
        assert_eq!(test_line_numbers("x/src/a.rs", text), [4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_single_line_item_under_the_attribute_is_test_code_alone() {
        let text =
            "#[cfg(test)]\nextern crate std;\n\npub mod a;\n#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests;\nfn b() {}\n";
        assert_eq!(test_line_numbers("x/src/lib.rs", text), [1, 2, 5, 6, 7]);
    }

    #[test]
    fn a_nested_test_item_ends_at_its_own_indentation() {
        let text = "impl A {\n    #[cfg(test)]\n    fn seen(\n        &self,\n    ) -> bool {\n        true\n    }\n    fn b() {}\n}\n";
        assert_eq!(test_line_numbers("x/src/a.rs", text), [2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn test_files_are_test_code_as_a_whole_and_programs_are_not() {
        assert_eq!(test_line_numbers("x/src/wire/tests.rs", "fn a() {}\n"), [1]);
        assert_eq!(test_line_numbers("x/tests/main.rs", "fn a() {}\n"), [1]);
        assert_eq!(test_line_numbers("tests/src/lib.rs", "fn a() {}\n"), [1]);
        assert_eq!(test_line_numbers("tests/src/bin/bench.rs", "fn a() {}\n"), Vec::<usize>::new());
        assert_eq!(test_line_numbers("x/src/contests.rs", "fn a() {}\n"), Vec::<usize>::new());
    }
}
