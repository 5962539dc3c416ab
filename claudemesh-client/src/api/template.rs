//! Templates: what a mesh starts with.

use serde::{Deserialize, Serialize};

/// Gives a mesh what a template has. What is there already stays as it is; done twice, the second time changes nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TemplateApply {
    /// The template: `dev-team`, `research`, `ops-incident` or `personal`.
    pub template: String,
}

/// What a template has given to a mesh.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TemplateApplied {
    /// The template.
    pub template: String,
    /// Whether the mesh has all of it now.
    pub complete: bool,
    /// Groups the caller joined by this call.
    pub groups: Vec<String>,
    /// Topics this call made.
    pub topics: Vec<String>,
    /// Keys of the state this call set, `hints` among them.
    pub state: Vec<String>,
}
