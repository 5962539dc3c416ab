//! Asks a person: before something that cannot be taken back, and for what may be wanted besides.

use std::io::BufRead;

use claudemesh_client::{Error, ErrorKind};

use crate::app::App;

/// Asks `question` on a terminal, unless `yes` was said already.
///
/// # Errors
/// The answer is no, or there is nobody to ask.
pub(crate) fn confirm(app: &mut App, yes: bool, question: &str) -> Result<(), Error> {
    if yes {
        return Ok(());
    }
    if !has_person(app) {
        return Err(Error::new(ErrorKind::Usage, "this cannot be taken back and nobody can be asked here")
            .with_hint("add --yes to do it without a question"));
    }
    if says_yes(app, question) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, "not confirmed: nothing was changed").with_hint("answer y, or add --yes"))
}

/// Asks `question` on a terminal. Where nobody can be asked, the answer is no.
pub(crate) fn asks(app: &mut App, question: &str) -> bool {
    has_person(app) && says_yes(app, question)
}

fn has_person(app: &App) -> bool {
    !app.output.json && app.input.terminal && app.output.err.terminal
}

fn says_yes(app: &mut App, question: &str) -> bool {
    app.output.note(|page| page.question(question));
    let mut answer = String::new();
    let read = app.input.reader.read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
