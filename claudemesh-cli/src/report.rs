//! Renders every error, for a reader or as JSON, and says which exit code it has.

use std::error::Error as _;
use std::io;

use clap::error::{ContextKind, ContextValue};
use claudemesh_client::api::{ErrorBody, ErrorDetail, Sent};
use claudemesh_client::{Error, ErrorKind};
use serde::Serialize;

use crate::output::{Output, Stream, Tone};

/// Why a command did not succeed.
pub(crate) enum Failure {
    /// An error.
    Error(Error),
    /// An error about a message that exists: the message goes with it.
    Sent(Error, Box<Sent>),
    /// Whoever read standard output has gone. Nobody is left to be told.
    Closed,
    /// The result that was shown says what is wrong; only the exit code is left.
    Shown(ErrorKind),
}

impl Failure {
    /// Standard output did not take a result.
    pub(crate) fn output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Closed;
        }
        let failure = Error::new(ErrorKind::Unwritable, "standard output cannot be written").with_source(error);
        Self::Error(failure.with_hint("check the file or disk it goes to, and run the command again"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// An error as JSON. Fields are only ever added to what the API has.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    body: ErrorBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<&'a Sent>,
}

/// Reports a failure and returns the exit code.
pub(crate) fn report(output: &mut Output, failure: &Failure) -> u8 {
    let (error, sent) = match failure {
        Failure::Error(error) => (error, None),
        Failure::Sent(error, sent) => (error, Some(&**sent)),
        Failure::Closed => return 0,
        Failure::Shown(kind) => return kind.exit_code(),
    };
    if output.json {
        let detail = detail(error.kind(), error.message().into(), error.hint().map(Into::into));
        json(&mut output.err, &Body { body: ErrorBody { error: detail }, sent });
    } else {
        output.note(|page| {
            page.labelled(Tone::Bad, "error", &without_secrets(error.message()));
            for cause in causes(error) {
                page.labelled(Tone::Faint, "cause", &without_secrets(&cause));
            }
            if let Some(hint) = error.hint() {
                page.labelled(Tone::Strong, "hint", &without_secrets(hint));
            }
        });
    }
    error.kind().exit_code()
}

/// Reports what clap found, or prints the help or version it was asked for, and returns the exit code.
pub(crate) fn report_usage(output: &mut Output, error: &clap::Error) -> u8 {
    let asked = !error.use_stderr();
    if output.json && !asked {
        let (message, hint) = usage(error);
        let body = ErrorBody { error: detail(ErrorKind::Usage, message, Some(hint)) };
        json(&mut output.err, &Body { body, sent: None });
        return ErrorKind::Usage.exit_code();
    }
    let stream = if asked { &mut output.out } else { &mut output.err };
    let page = stream.page();
    let rendered = error.render();
    let text = if page.has_color() { rendered.ansi().to_string() } else { rendered.to_string() };
    // Help is ours; an error quotes what was typed, which may be a link.
    let text = if asked { text } else { without_secrets(&text) };
    // Help that nobody reads is no failure.
    let _ = stream.write(&text);
    if asked { 0 } else { ErrorKind::Usage.exit_code() }
}

/// The line for a panic: where it was, never what it was about.
pub(crate) fn report_panic(json_wanted: bool, place: Option<&str>) {
    let message = format!("this is a bug in claudemesh, at {}", place.unwrap_or("an unknown place"));
    let hint = "please report it with the command you ran; nothing that was queued is lost";
    let mut stream = Stream::stderr();
    if json_wanted {
        let body = ErrorBody { error: detail(ErrorKind::Internal, message, Some(hint.into())) };
        json(&mut stream, &Body { body, sent: None });
    } else {
        let mut page = stream.page();
        page.labelled(Tone::Bad, "error", &message);
        page.labelled(Tone::Strong, "hint", hint);
        let _ = stream.write(page.text());
    }
}

fn detail(kind: ErrorKind, message: String, hint: Option<String>) -> ErrorDetail {
    let hint = hint.as_deref().map(without_secrets);
    ErrorDetail { code: kind.code().into(), message: without_secrets(&message), hint }
}

/// A link opens a mesh, and errors end up in logs: what follows its `#` is left out.
fn without_secrets(text: &str) -> String {
    const MARK: &str = "/i#";
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(MARK) {
        let (before, link) = rest.split_at(start + MARK.len());
        safe.push_str(before);
        let secret = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '=' | '%');
        rest = link.trim_start_matches(secret);
        if rest.len() < link.len() {
            safe.push('…');
        }
    }
    safe + rest
}

fn json(stream: &mut Stream, body: &Body<'_>) {
    if let Ok(mut text) = serde_json::to_string(body) {
        text.push('\n');
        // There is nowhere left to complain.
        let _ = stream.write(&text);
    }
}

/// What the message of an error does not already say.
fn causes(error: &Error) -> Vec<String> {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source.filter(|_| causes.len() < 4) {
        let text = cause.to_string();
        if !error.message().contains(&text) && causes.last() != Some(&text) {
            causes.push(text);
        }
        source = cause.source();
    }
    causes
}

/// Clap's error as a message and the next step.
fn usage(error: &clap::Error) -> (String, String) {
    let text = error.render().to_string();
    let message = match error.kind() {
        clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "the verb is missing".to_owned(),
        _ => {
            let paragraph = text.split("\n\n").next().unwrap_or_default();
            let lines = paragraph.lines().map(str::trim).filter(|line| !line.is_empty());
            let message = lines.collect::<Vec<_>>().join(" ");
            message.strip_prefix("error: ").unwrap_or(&message).to_owned()
        }
    };
    let suggestion = |kind| match error.get(kind) {
        Some(ContextValue::String(one)) => Some(one.clone()),
        Some(ContextValue::Strings(all)) if !all.is_empty() => Some(all.join(", ")),
        _ => None,
    };
    let similar = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
        .into_iter()
        .find_map(suggestion);
    let hint = match similar {
        Some(similar) => format!("did you mean {similar}?"),
        None => "add --help to see what the verb takes".into(),
    };
    (message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_add_only_what_is_new() {
        let source = io::Error::new(io::ErrorKind::PermissionDenied, "permission denied");
        let error = Error::new(ErrorKind::Unwritable, "the home cannot be written").with_source(source);
        assert_eq!(causes(&error), ["permission denied"]);
        let source = io::Error::other("said before");
        assert!(causes(&Error::new(ErrorKind::Internal, "said before, already").with_source(source)).is_empty());
    }

    #[test]
    fn the_secret_of_a_link_is_left_out() {
        assert_eq!(without_secrets("'http://h/i#aB-_9' and https://h/i#x."), "'http://h/i#…' and https://h/i#….");
        assert_eq!(without_secrets("see http://h/i# or no link"), "see http://h/i# or no link");
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        assert!(matches!(Failure::output(io::ErrorKind::BrokenPipe.into()), Failure::Closed));
        assert!(
            matches!(Failure::output(io::ErrorKind::StorageFull.into()), Failure::Error(e) if e.kind() == ErrorKind::Unwritable)
        );
    }
}
