//! Whether everything works together, check by check: this home, its daemon and meshes, and Claude Code beside it.
//!
//! A check looks and changes nothing; it starts no daemon.

use claudemesh_client::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

pub(crate) mod home;
pub(crate) mod host;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and something about it should be known.
    Warning,
    /// It does not work.
    Failed,
    /// It could not be looked at.
    Skipped,
}

/// What one check found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) name: String,
    /// How it came out.
    pub(crate) verdict: Verdict,
    /// What was found.
    pub(crate) message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) fix: Option<String>,
    /// Code of the error it stands for, when it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) code: Option<String>,
}

impl Check {
    fn new(name: &str, verdict: Verdict, message: impl Into<String>) -> Self {
        Self { name: name.into(), verdict, message: message.into(), fix: None, code: None }
    }

    fn ok(name: &str, message: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, message)
    }

    fn skipped(name: &str, message: impl Into<String>) -> Self {
        Self::new(name, Verdict::Skipped, message)
    }

    fn warning(name: &str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..Self::new(name, Verdict::Warning, message) }
    }

    fn failed(name: &str, kind: ErrorKind, message: impl Into<String>, fix: impl Into<String>) -> Self {
        let code = Some(kind.code().to_owned());
        Self { fix: Some(fix.into()), code, ..Self::new(name, Verdict::Failed, message) }
    }

    fn error(name: &str, error: &Error) -> Self {
        Self::failed(name, error.kind(), error.message(), error.hint().unwrap_or("see docs/operations.md"))
    }
}

/// Everything that was found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Diagnosis {
    /// Whether nothing failed.
    pub(crate) ok: bool,
    /// Version of this program.
    pub(crate) version: String,
    /// The checks.
    pub(crate) checks: Vec<Check>,
}

impl Diagnosis {
    /// Of these checks.
    pub(crate) fn of(checks: Vec<Check>) -> Self {
        let ok = checks.iter().all(|check| check.verdict != Verdict::Failed);
        Self { ok, version: env!("CARGO_PKG_VERSION").into(), checks }
    }

    /// What the first check that failed stands for.
    pub(crate) fn failure(&self) -> Option<ErrorKind> {
        let failed = self.checks.iter().find(|check| check.verdict == Verdict::Failed)?;
        Some(failed.code.as_deref().and_then(ErrorKind::from_code).unwrap_or(ErrorKind::Internal))
    }
}
