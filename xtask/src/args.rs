//! The command line: which task, with what. Anything not understood is an error with a suggestion, never ignored.

use std::fmt;

use crate::{check, fuzz};

/// A task to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Help,
    Test,
    /// The named steps; all of them when none is named.
    Check(Vec<&'static str>),
    Bench(Vec<String>),
    Fuzz {
        target: &'static str,
        arguments: Vec<String>,
    },
    Demo,
    HostTest,
    Python,
    PythonBench(Vec<String>),
}

const TASKS: &[&str] = &["test", "check", "python", "host-test", "bench", "fuzz", "demo", "help"];

/// The command line is not one of a task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UsageError {
    Unknown { what: &'static str, given: String, suggestion: Option<&'static str>, known: Vec<&'static str> },
    Unexpected { task: &'static str, given: String },
    MissingTarget,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { what, given, suggestion, known } => {
                write!(f, "unknown {what} `{given}`")?;
                match suggestion {
                    Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
                    None => write!(f, "; there are: {}", known.join(", ")),
                }
            }
            Self::Unexpected { task, given } => {
                write!(f, "`{task}` takes no argument `{given}`; run `cargo xtask {task}` without it")
            }
            Self::MissingTarget => write!(f, "`fuzz` needs a target: {}", fuzz::TARGETS.join(", ")),
        }
    }
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(arguments: &[String]) -> Result<Task, UsageError> {
    let Some((task, rest)) = arguments.split_first() else { return Ok(Task::Help) };
    match task.as_str() {
        "help" | "--help" | "-h" => nothing_more("help", rest, Task::Help),
        "test" => nothing_more("test", rest, Task::Test),
        "demo" => nothing_more("demo", rest, Task::Demo),
        "host-test" => nothing_more("host-test", rest, Task::HostTest),
        "check" => {
            let names = check::names();
            rest.iter().map(|given| one_of("check", &names, given)).collect::<Result<_, _>>().map(Task::Check)
        }
        "python" => match rest.split_first() {
            Some((bench, rest)) if bench == "bench" => Ok(Task::PythonBench(after_dashes(rest))),
            _ => nothing_more("python", rest, Task::Python),
        },
        "bench" => Ok(Task::Bench(after_dashes(rest))),
        "fuzz" => {
            let (target, rest) = rest.split_first().ok_or(UsageError::MissingTarget)?;
            let target = one_of("fuzz target", fuzz::TARGETS, target)?;
            match rest.split_first() {
                Some((dashes, _)) if dashes != "--" => {
                    Err(UsageError::Unexpected { task: "fuzz", given: dashes.clone() })
                }
                _ => Ok(Task::Fuzz { target, arguments: after_dashes(rest) }),
            }
        }
        given => Err(unknown("task", TASKS, given)),
    }
}

fn nothing_more(name: &'static str, rest: &[String], task: Task) -> Result<Task, UsageError> {
    match rest.first() {
        None => Ok(task),
        Some(given) => Err(UsageError::Unexpected { task: name, given: given.clone() }),
    }
}

fn after_dashes(arguments: &[String]) -> Vec<String> {
    arguments.strip_prefix(&["--".to_owned()]).unwrap_or(arguments).to_vec()
}

fn one_of(what: &'static str, known: &[&'static str], given: &str) -> Result<&'static str, UsageError> {
    known.iter().copied().find(|name| *name == given).ok_or_else(|| unknown(what, known, given))
}

fn unknown(what: &'static str, known: &[&'static str], given: &str) -> UsageError {
    // A guess further off than a third of the word helps nobody; two swapped letters count as two edits.
    let limit = (given.chars().count() / 3).max(2);
    let suggestion = known
        .iter()
        .map(|name| (distance(name, given.trim_start_matches('-')), *name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name);
    UsageError::Unknown { what, given: given.to_owned(), suggestion, known: known.to_vec() }
}

/// The number of single-character edits between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task, UsageError> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_task_is_understood() {
        assert_eq!(parsed(""), Ok(Task::Help));
        assert_eq!(parsed("--help"), Ok(Task::Help));
        assert_eq!(parsed("test"), Ok(Task::Test));
        assert_eq!(parsed("demo"), Ok(Task::Demo));
        assert_eq!(parsed("python"), Ok(Task::Python));
        assert_eq!(parsed("python bench"), Ok(Task::PythonBench(vec![])));
        assert_eq!(parsed("check"), Ok(Task::Check(vec![])));
        assert_eq!(parsed("check fmt layers"), Ok(Task::Check(vec!["fmt", "layers"])));
    }

    #[test]
    fn bench_passes_its_arguments_on_with_or_without_dashes() {
        let arguments = vec!["--senders".to_owned(), "8".to_owned()];
        assert_eq!(parsed("bench -- --senders 8"), Ok(Task::Bench(arguments.clone())));
        assert_eq!(parsed("bench --senders 8"), Ok(Task::Bench(arguments)));
    }

    #[test]
    fn fuzz_takes_a_target_and_passes_the_rest_on() {
        let arguments = vec!["-runs=10".to_owned()];
        assert_eq!(parsed("fuzz frame -- -runs=10"), Ok(Task::Fuzz { target: "frame", arguments }));
        assert_eq!(parsed("fuzz frame"), Ok(Task::Fuzz { target: "frame", arguments: vec![] }));
        assert_eq!(parsed("fuzz"), Err(UsageError::MissingTarget));
        assert!(matches!(parsed("fuzz frame -runs=10"), Err(UsageError::Unexpected { .. })));
    }

    #[test]
    fn a_near_miss_is_suggested() {
        for (line, expected) in [
            ("tset", "test"),
            ("chek", "check"),
            ("--test", "test"),
            ("check clipy", "clippy"),
            ("fuzz frames", "frame"),
        ] {
            let Err(UsageError::Unknown { suggestion, .. }) = parsed(line) else { panic!("{line} was accepted") };
            assert_eq!(suggestion, Some(expected), "{line}");
        }
    }

    #[test]
    fn a_far_miss_lists_what_there_is() {
        let error = parsed("deploy").expect_err("no such task");
        assert_eq!(
            error.to_string(),
            "unknown task `deploy`; there are: test, check, python, host-test, bench, fuzz, demo, help"
        );
    }

    #[test]
    fn nothing_is_ignored() {
        assert!(matches!(parsed("test --services"), Err(UsageError::Unexpected { task: "test", .. })));
        assert!(matches!(parsed("python now"), Err(UsageError::Unexpected { task: "python", .. })));
        assert!(matches!(parsed("demo now"), Err(UsageError::Unexpected { task: "demo", .. })));
        assert!(matches!(parsed("help test"), Err(UsageError::Unexpected { task: "help", .. })));
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
