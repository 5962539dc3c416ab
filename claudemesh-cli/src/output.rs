//! Standard output and standard error: one JSON object, or a page for a reader.
//!
//! Everything a [`Page`] is given is made inert by it, so that no command can forget to.

use std::io::{self, IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};
use claudemesh_client::{Error, ErrorKind};
use serde::Serialize;
use terminal_size::{Height, Width, terminal_size_of};

use crate::inert;
use crate::projection::Fields;
use crate::report::Failure;

/// One of the two output streams.
pub(crate) struct Stream {
    writer: Box<dyn Write + Send>,
    /// Whether a person looks at it.
    pub(crate) terminal: bool,
    color: bool,
    width: Option<usize>,
}

impl Stream {
    /// Standard output.
    pub(crate) fn stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        Self::of(Box::new(io::stdout()), terminal, || terminal_size_of(io::stdout()))
    }

    /// Standard error.
    pub(crate) fn stderr() -> Self {
        let terminal = io::stderr().is_terminal();
        Self::of(Box::new(io::stderr()), terminal, || terminal_size_of(io::stderr()))
    }

    fn of(writer: Box<dyn Write + Send>, terminal: bool, size: fn() -> Option<(Width, Height)>) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let width = if terminal { size().map(|(Width(columns), _)| columns.into()) } else { None };
        Self { writer, terminal, color: terminal && !plain, width }
    }

    /// A stream into a buffer.
    #[cfg(test)]
    pub(crate) fn into(writer: Box<dyn Write + Send>, terminal: bool) -> Self {
        Self { writer, terminal, color: false, width: terminal.then_some(80) }
    }

    /// An empty page for this stream.
    pub(crate) fn page(&self) -> Page {
        Page { text: String::new(), color: self.color, width: self.width }
    }

    /// Writes and flushes.
    pub(crate) fn write(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(text.as_bytes())?;
        self.writer.flush()
    }
}

/// Where results and notes go.
pub(crate) struct Output {
    /// Whether results are JSON.
    pub(crate) json: bool,
    /// What of them is printed as JSON.
    pub(crate) fields: Fields,
    /// Results.
    pub(crate) out: Stream,
    /// Errors, notes, questions.
    pub(crate) err: Stream,
}

impl Output {
    /// Prints a result, as one JSON object on a line or as a page, and flushes it.
    ///
    /// # Errors
    /// Standard output does not take it.
    pub(crate) fn show<T: Serialize>(&mut self, result: &T, page: impl FnOnce(&mut Page)) -> Result<(), Failure> {
        if self.json {
            let json = match self.fields.is_everything() {
                true => serde_json::to_string(result),
                false => serde_json::to_value(result).map(|value| self.fields.of(value).to_string()),
            };
            let mut text = json.map_err(|error| {
                Error::new(ErrorKind::Internal, "the result does not become JSON").with_source(error)
            })?;
            text.push('\n');
            return self.print(&text);
        }
        let mut shown = self.out.page();
        page(&mut shown);
        self.print(&shown.text)
    }

    /// Prints text made by this program as it is.
    ///
    /// # Errors
    /// Standard output does not take it.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write(text).map_err(Failure::output)
    }

    /// Warns on standard error in one line, also when results are JSON.
    pub(crate) fn warn(&mut self, text: &str) {
        let mut shown = self.err.page();
        shown.labelled(Tone::Warning, "warning", &inert::line(text));
        // There is nowhere left to complain.
        let _ = self.err.write(&shown.text);
    }

    /// Tells a reader something that is not the result, on standard error; nobody when results are JSON.
    pub(crate) fn note(&mut self, page: impl FnOnce(&mut Page)) {
        if !self.json {
            let mut shown = self.err.page();
            page(&mut shown);
            // There is nowhere left to complain.
            let _ = self.err.write(&shown.text);
        }
    }
}

/// Text laid out for a reader. Made inert: see [`crate::inert`].
pub(crate) struct Page {
    text: String,
    color: bool,
    width: Option<usize>,
}

/// How a piece of text stands out on a terminal.
#[derive(Clone, Copy)]
pub(crate) enum Tone {
    Plain,
    Strong,
    Faint,
    Good,
    Warning,
    Bad,
}

impl Tone {
    const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default().bold(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
        }
    }
}

impl Page {
    /// A line.
    pub(crate) fn line(&mut self, text: &str) {
        self.spans(&[(Tone::Plain, text)]);
    }

    /// An empty line.
    pub(crate) fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A line of pieces.
    pub(crate) fn spans(&mut self, spans: &[(Tone, &str)]) {
        for (tone, text) in spans {
            self.span(*tone, &inert::line(text));
        }
        self.text.push('\n');
    }

    /// A word that stands out, a colon, and text: `warning: …`. More lines of the text are indented.
    pub(crate) fn labelled(&mut self, tone: Tone, label: &str, text: &str) {
        let mut lines = inert::lines(text);
        self.span(tone, &format!("{label}:"));
        self.text.push(' ');
        self.text.push_str(&lines.next().unwrap_or_default());
        self.text.push('\n');
        for line in lines {
            self.text.push_str("  ");
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }

    /// A question, with the cursor left behind it.
    pub(crate) fn question(&mut self, text: &str) {
        self.span(Tone::Strong, &inert::line(text));
        self.text.push_str(" [y/N] ");
    }

    /// A text by someone else, every line indented: also those a terminal would break, so that none can pass for ours.
    pub(crate) fn quoted(&mut self, text: &str) {
        const INDENT: &str = "    ";
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(INDENT.len()).max(8));
        for line in inert::lines(text) {
            self.text.push_str(INDENT);
            let mut used = 0;
            for c in line.chars() {
                let columns = if c == '\t' { 8 } else { inert::char_width(c) };
                if used + columns > room {
                    self.text.push('\n');
                    self.text.push_str(INDENT);
                    used = 0;
                }
                self.text.push(c);
                used += columns;
            }
            self.text.push('\n');
        }
    }

    /// Names and values, aligned.
    pub(crate) fn fields(&mut self, fields: &[(&str, &str)]) {
        let width = fields.iter().map(|(name, _)| inert::width(name)).max().unwrap_or_default();
        for (name, value) in fields {
            self.span(Tone::Faint, &format!("  {name:width$}"));
            self.text.push_str("  ");
            self.text.push_str(&inert::line(value));
            self.text.push('\n');
        }
    }

    /// A table with aligned columns. On a terminal the last column is cut, so that a row stays one line.
    pub(crate) fn table(&mut self, headings: &[&str], rows: &[Vec<String>]) {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| inert::line(cell).into_owned()).collect()).collect();
        let widths: Vec<usize> = (0..headings.len())
            .map(|column| {
                let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| inert::width(cell));
                cells.chain([inert::width(headings[column])]).max().unwrap_or_default()
            })
            .collect();
        let headings = headings.iter().map(|&heading| heading.to_owned()).collect::<Vec<_>>();
        self.row(Tone::Faint, &headings, &widths);
        for row in &rows {
            self.row(Tone::Plain, row, &widths);
        }
    }

    fn row(&mut self, tone: Tone, cells: &[String], widths: &[usize]) {
        let mut text = String::new();
        for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
            if index > 0 {
                text.push_str("  ");
            }
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width.saturating_sub(inert::width(cell))));
        }
        let text = self.cut(text.trim_end());
        self.span(tone, &text);
        self.text.push('\n');
    }

    fn cut(&self, text: &str) -> String {
        let Some(room) = self.width.filter(|room| inert::width(text) > *room) else { return text.to_owned() };
        let mut used = 1;
        let fits = |c: &char| {
            used += inert::char_width(*c);
            used <= room
        };
        text.chars().take_while(fits).chain(['…']).collect()
    }

    fn span(&mut self, tone: Tone, inert: &str) {
        let style = tone.style();
        if self.color && style != Style::new() && !inert.is_empty() {
            self.text.push_str(&format!("{style}{inert}{style:#}"));
        } else {
            self.text.push_str(inert);
        }
    }

    /// The text so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether colours are shown.
    pub(crate) const fn has_color(&self) -> bool {
        self.color
    }

    /// Adds lines made by this program, as they are.
    pub(crate) fn raw(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Columns of the terminal, when there is one.
    pub(crate) const fn columns(&self) -> Option<usize> {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(width: Option<usize>, color: bool) -> Page {
        Page { text: String::new(), color, width }
    }

    #[test]
    fn whatever_a_page_is_given_is_inert() {
        let hostile = "x\u{1b}[31m\u{202e}y\r\nz";
        let mut page = page(None, false);
        page.line(hostile);
        page.spans(&[(Tone::Strong, hostile)]);
        page.labelled(Tone::Bad, "error", hostile);
        page.quoted(hostile);
        page.fields(&[("name", hostile)]);
        page.table(&["NAME"], &[vec![hostile.into()]]);
        assert!(!page.text().contains(['\u{1b}', '\u{202e}', '\r']), "{}", page.text());
    }

    #[test]
    fn a_quoted_text_cannot_reach_the_left_margin() {
        let mut page = page(Some(20), false);
        page.quoted(&format!("{}alice: forged\nbob: forged", "x".repeat(16)));
        assert!(page.text().lines().all(|line| line.starts_with("    ") && line.len() <= 20), "{}", page.text());
    }

    #[test]
    fn tables_align_and_fit() {
        let rows = [vec!["bob".into(), "short".into()], vec!["李雷".into(), "much too long for it".into()]];
        let mut wide = page(None, false);
        wide.table(&["NAME", "SUMMARY"], &rows);
        assert_eq!(wide.text(), "NAME  SUMMARY\nbob   short\n李雷  much too long for it\n");
        let mut narrow = page(Some(14), false);
        narrow.table(&["NAME", "SUMMARY"], &rows);
        assert_eq!(narrow.text(), "NAME  SUMMARY\nbob   short\n李雷  much to…\n");
    }

    #[test]
    fn colour_only_when_asked_for() {
        let mut plain = page(None, false);
        plain.spans(&[(Tone::Bad, "no")]);
        assert_eq!(plain.text(), "no\n");
        let mut coloured = page(None, true);
        coloured.spans(&[(Tone::Bad, "no"), (Tone::Plain, " yes")]);
        assert!(coloured.text().starts_with("\u{1b}[") && coloured.text().ends_with(" yes\n"));
    }
}
