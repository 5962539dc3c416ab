//! The one error of a task: a sentence for the person who ran it.

use std::fmt;

/// Why a task failed.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// What a task or a step of it ends with.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A failure that lists several findings, one a line.
    pub(crate) fn list(title: &str, findings: &[String]) -> Self {
        let mut text = title.to_owned();
        for finding in findings {
            text.push_str("\n  ");
            text.push_str(finding);
        }
        Self(text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
