//! Claude Code beside which this program is installed: what it is, what is put where it looks, and how that is undone.

pub(crate) mod bundle;
pub(crate) mod claude;
mod file;
pub(crate) mod install;
mod json;
mod plan;
pub(crate) mod record;
pub(crate) mod settings;

pub(crate) use file::Found;
pub(crate) use plan::Change;
