//! Licences, banned crates and sources, as `deny.toml` has them.

use crate::failure::{Failure, Outcome};
use crate::process::{cargo, has_subcommand, run};
use crate::report::Note;

pub(super) fn check() -> Outcome<Note> {
    if !has_subcommand("deny") {
        return Err(Failure::new("cargo-deny is not installed: `cargo install --locked cargo-deny` (a few minutes)"));
    }
    run(&mut cargo(["deny", "check", "licenses", "bans", "sources"])).map(Note::from)
}
