//! Steps of a task: each is announced, timed and kept, and none stops the ones after it.

use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};

/// What a step has to say when it did not fail.
pub(crate) enum Note {
    Done(String),
    Skipped(String),
}

impl From<()> for Note {
    fn from((): ()) -> Self {
        Self::Done(String::new())
    }
}

struct Line {
    name: &'static str,
    took: Duration,
    result: Result<Note, String>,
}

/// The steps run so far.
pub(crate) struct Report {
    task: &'static str,
    lines: Vec<Line>,
}

impl Report {
    pub(crate) fn new(task: &'static str) -> Self {
        Self { task, lines: Vec::new() }
    }

    /// Runs one step.
    pub(crate) fn step<T: Into<Note>>(&mut self, name: &'static str, step: impl FnOnce() -> Outcome<T>) {
        eprintln!("\n== {} {name}", self.task);
        let started = Instant::now();
        let result = step().map(Into::into).map_err(|failure| failure.to_string());
        if let Err(text) = &result {
            eprintln!("failed: {text}");
        }
        self.lines.push(Line { name, took: started.elapsed(), result });
    }

    /// Prints every step with its time.
    pub(crate) fn finish(self) -> Outcome {
        eprintln!("\n{}", self.table());
        let failed: Vec<&str> = self.lines.iter().filter(|line| line.result.is_err()).map(|line| line.name).collect();
        if failed.is_empty() {
            Ok(())
        } else {
            let text = format!("{} of {} steps failed: {}", failed.len(), self.lines.len(), failed.join(", "));
            Err(Failure::new(text))
        }
    }

    fn table(&self) -> String {
        let width = self.lines.iter().map(|line| line.name.len()).max().unwrap_or(0).max(5);
        let mut table = format!("== {} summary\n", self.task);
        for line in &self.lines {
            let result = match &line.result {
                Ok(Note::Done(note)) if note.is_empty() => "ok".to_owned(),
                Ok(Note::Done(note)) => format!("ok       {note}"),
                Ok(Note::Skipped(why)) => format!("skipped  {why}"),
                Err(_) => "FAILED".to_owned(),
            };
            table.push_str(&format!("{:<width$}  {:>7.1} s  {result}\n", line.name, line.took.as_secs_f64()));
        }
        let total: Duration = self.lines.iter().map(|line| line.took).sum();
        table.push_str(&format!("{:<width$}  {:>7.1} s", "total", total.as_secs_f64()));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_does_not_stop_the_next_and_fails_the_whole() {
        let mut report = Report::new("test");
        let mut ran = false;
        report.step("first", || Err::<(), _>(Failure::new("broken")));
        report.step("second", || {
            ran = true;
            Ok(Note::Done("3 passed".to_owned()))
        });
        assert!(ran);
        let table = report.table();
        assert!(table.contains("first") && table.contains("FAILED") && table.contains("3 passed"), "{table}");
        let failure = report.finish().expect_err("a step failed");
        assert_eq!(failure.to_string(), "1 of 2 steps failed: first");
    }

    #[test]
    fn a_skipped_step_says_why_and_fails_nothing() {
        let mut report = Report::new("check");
        report.step("fuzz", || Ok(Note::Skipped("not installed".to_owned())));
        assert!(report.table().contains("skipped  not installed"));
        assert!(report.finish().is_ok());
    }
}
