//! Reading how many tests ran from the summary lines of nextest, `cargo test` and pytest.

use std::fmt;

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    /// What one line of output reports; nothing when it is no summary.
    pub(super) fn of_line(line: &str) -> Self {
        let is_summary = line.starts_with("Summary [")
            || line.starts_with("test result:")
            || (line.contains(" in ") && line.trim_matches('=').trim_start().starts_with(|c: char| c.is_ascii_digit()));
        let mut tally = Self::default();
        if !is_summary {
            return tally;
        }
        let words: Vec<&str> = line.split([' ', ',', ';', '(', ')']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let Ok(count) = pair[0].parse::<u64>() else { continue };
            match pair[1] {
                "passed" => tally.passed += count,
                "failed" | "error" | "errors" | "exec-failed" => tally.failed += count,
                // pytest's timing and libtest's `measured`, `filtered out` are no tests.
                "skipped" | "ignored" => tally.skipped += count,
                _ => {}
            }
        }
        // nextest: `10 tests run: 8 passed (1 slow), 1 failed, 1 timed out`.
        for three in words.windows(3) {
            if let (Ok(count), "timed", "out") = (three[0].parse::<u64>(), three[1], three[2]) {
                tally.failed += count;
            }
        }
        tally
    }

    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally { passed, failed, skipped }
    }

    #[test]
    fn nextest_summaries_are_read() {
        let line = "Summary [   0.010s] 10 tests run: 8 passed (1 slow), 1 failed, 1 timed out, 2 skipped";
        assert_eq!(Tally::of_line(line), tally(8, 2, 2));
        assert_eq!(Tally::of_line("Summary [   2.131s] 1 test run: 1 passed, 0 skipped"), tally(1, 0, 0));
    }

    #[test]
    fn libtest_summaries_are_read_and_add_up() {
        let line = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.02s";
        let mut total = Tally::of_line(line);
        total.add(Tally::of_line("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out"));
        assert_eq!(total, tally(4, 2, 1));
    }

    #[test]
    fn pytest_summaries_are_read() {
        assert_eq!(Tally::of_line("12 passed in 0.31s"), tally(12, 0, 0));
        assert_eq!(Tally::of_line("==== 1 failed, 11 passed, 2 skipped in 0.31s ===="), tally(11, 1, 2));
        assert_eq!(Tally::of_line("1 failed, 2 errors in 3.20s"), tally(0, 3, 0));
    }

    #[test]
    fn other_lines_count_nothing() {
        for line in
            ["running 3 tests", "test a::b ... ok", "PASS [0.01s] 3 passed", "", "Compiling x v1.0.0 in 3 parts"]
        {
            assert_eq!(Tally::of_line(line), Tally::default(), "{line}");
        }
    }
}
