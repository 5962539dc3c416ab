//! Search in posts, and the language of queries.
//!
//! ```text
//! release notes        both words         "out of memory"   the words side by side
//! deploy*              words that start   this OR that      either one
//! this NOT that        without the other  (a OR b) c        groups
//! ```
//!
//! Anything else in a query is a word: `foo-bar`, `c++` and `what's` need no quotes.

use std::ops::Range;

use claudemesh_core::LogId;
use rusqlite::{Connection, params};

use super::post::{self, PostRow};
use super::sql;

/// Most words of a query.
const MAX_WORDS: usize = 32;
/// Most parentheses within one another.
const MAX_DEPTH: usize = 8;
/// Words of a snippet.
pub(super) const SNIPPET_WORDS: usize = 24;

/// A text is no query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum QueryError {
    /// There is no word in it.
    #[error("the query has no words")]
    Empty,
    /// Too many words or parentheses.
    #[error("the query is too long")]
    TooLong,
    /// A quotation mark without its other half.
    #[error("the query has an open quotation mark")]
    OpenQuote,
    /// A parenthesis without its other half.
    #[error("the query has an unmatched parenthesis")]
    OpenParenthesis,
    /// AND, OR or NOT without a word on either side.
    #[error("AND, OR and NOT stand between words")]
    Operator,
}

/// A query that can be asked.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Query(String);

impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Query({} bytes)", self.0.len())
    }
}

enum Token<'a> {
    Open,
    Close,
    Operator(&'a str),
    /// A word or the words in quotes, and whether a `*` follows.
    Words(&'a str, bool),
}

impl Query {
    /// Reads a query.
    pub(crate) fn parse(text: &str) -> Result<Self, QueryError> {
        // FTS5 would take a zero byte for the end.
        let text = text.replace('\0', " ");
        let mut out = String::new();
        let (mut words, mut open, mut before) = (0, 0, None);
        for token in tokens(&text)? {
            // What two operands that stand side by side mean is said outright: parentheses cannot do without.
            let side_by_side = matches!(before, Some(Token::Words(..) | Token::Close));
            let begins = !side_by_side;
            match &token {
                Token::Operator(_) | Token::Close if begins => {
                    let unmatched = matches!((&token, &before), (Token::Close, None));
                    return Err(if unmatched { QueryError::OpenParenthesis } else { QueryError::Operator });
                }
                Token::Operator(name) => out.extend([" ", name, " "]),
                Token::Close if open == 0 => return Err(QueryError::OpenParenthesis),
                Token::Close => {
                    open -= 1;
                    out.push(')');
                }
                Token::Open => {
                    open += 1;
                    out.push_str(if side_by_side { " AND (" } else { "(" });
                }
                Token::Words(text, starts) => {
                    words += 1;
                    let end = if *starts { "\"*" } else { "\"" };
                    out.extend([if side_by_side { " AND \"" } else { "\"" }, text, end]);
                }
            }
            if words > MAX_WORDS || open > MAX_DEPTH {
                return Err(QueryError::TooLong);
            }
            before = Some(token);
        }
        match before {
            None => Err(QueryError::Empty),
            Some(Token::Operator(_)) => Err(QueryError::Operator),
            Some(_) if open > 0 => Err(QueryError::OpenParenthesis),
            Some(_) => Ok(Self(out)),
        }
    }

    /// The query as FTS5 reads it.
    pub(super) fn as_fts(&self) -> &str {
        &self.0
    }
}

/// What means something in a text. Parentheses around nothing, as in `main()`, do not.
fn tokens(text: &str) -> Result<Vec<Token<'_>>, QueryError> {
    let (mut tokens, mut rest) = (Vec::new(), text);
    while let Some((token, after)) = next_token(rest)? {
        rest = after;
        if matches!((tokens.last(), &token), (Some(Token::Open), Token::Close)) {
            tokens.pop();
        } else {
            tokens.push(token);
        }
    }
    Ok(tokens)
}

/// The next token that means something, and what follows it.
fn next_token(text: &str) -> Result<Option<(Token<'_>, &str)>, QueryError> {
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return Ok(None) };
        match first {
            '(' => return Ok(Some((Token::Open, &rest[1..]))),
            ')' => return Ok(Some((Token::Close, &rest[1..]))),
            '"' => {
                let (inside, after) = rest[1..].split_once('"').ok_or(QueryError::OpenQuote)?;
                let (after, starts) = after.strip_prefix('*').map_or((after, false), |after| (after, true));
                if is_searched(inside) {
                    return Ok(Some((Token::Words(inside, starts), after)));
                }
                rest = after;
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"'));
                let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
                if matches!(word, "AND" | "OR" | "NOT") {
                    return Ok(Some((Token::Operator(word), after)));
                }
                if is_searched(word) {
                    let stem = word.trim_end_matches('*');
                    return Ok(Some((Token::Words(stem, stem.len() < word.len()), after)));
                }
                rest = after;
            }
        }
    }
}

/// Whether the index holds anything of a text: signs alone are not kept.
fn is_searched(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

/// A part of a text around what was found.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Snippet {
    pub(crate) text: String,
    /// What was found, as bytes of the text.
    pub(crate) found: Vec<Range<usize>>,
}

impl std::fmt::Debug for Snippet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snippet({} bytes, {:?})", self.text.len(), self.found)
    }
}

impl Snippet {
    /// Reads what FTS5 marked with U+0002 and U+0003.
    pub(super) fn parse(marked: &str) -> Self {
        let (mut text, mut found, mut start) = (String::with_capacity(marked.len()), Vec::new(), None);
        for c in marked.chars() {
            match c {
                '\u{2}' => start = Some(text.len()),
                '\u{3}' => found.extend(start.take().map(|start| start..text.len())),
                c => text.push(c),
            }
        }
        Self { text, found }
    }
}

/// A post that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) log: LogId,
    pub(crate) post: PostRow,
    pub(crate) snippet: Snippet,
}

/// Takes new posts into the index. They are gathered until then: an index grows at less cost by many texts at once.
pub(crate) fn index_new(tx: &Connection) -> rusqlite::Result<()> {
    sql::run(
        tx,
        "INSERT INTO post_text (rowid, text) SELECT post.key, post.text FROM post_new CROSS JOIN post USING (key)",
        [],
    )?;
    sql::run(tx, "DELETE FROM post_new", []).map(drop)
}

/// Whether there are posts that are not in the index yet.
pub(crate) fn is_behind(db: &Connection) -> rusqlite::Result<bool> {
    sql::exists(db, "SELECT 1 FROM post_new", [])
}

/// Shown posts of a mesh that fit a query, the best first.
pub(crate) fn posts(
    db: &Connection,
    mesh: i64,
    room: Option<i64>,
    query: &Query,
    limit: u32,
) -> rusqlite::Result<Vec<Hit>> {
    if is_behind(db)? {
        let tx = db.unchecked_transaction()?;
        index_new(&tx)?;
        tx.commit()?;
    }
    let sql = format!(
        "SELECT {columns}, log.id, snippet(post_text, 0, char(2), char(3), '…', {SNIPPET_WORDS})
         FROM post_text JOIN post ON post.key = post_text.rowid JOIN log ON log.n = post.key >> 45
         WHERE post_text MATCH ?1 AND post.status = 0 AND log.mesh = ?2 AND (?3 IS NULL OR log.n = ?3)
         ORDER BY rank LIMIT ?4",
        columns = post::COLUMNS
    );
    sql::all(db, &sql, params![query.as_fts(), mesh, room, limit], |row| {
        let snippet = Snippet::parse(&row.get::<_, String>(10)?);
        Ok(Hit { log: sql::log(row, 9)?, post: post::read(row)?, snippet })
    })
}
