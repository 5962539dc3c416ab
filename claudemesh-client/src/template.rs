//! Templates: what a new mesh can start with. Each is a file of data; what is done with it is the node's.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, ErrorKind};

const TEMPLATES: [(&str, &str); 4] = [
    ("dev-team", include_str!("template/dev-team.json")),
    ("research", include_str!("template/research.json")),
    ("ops-incident", include_str!("template/ops-incident.json")),
    ("personal", include_str!("template/personal.json")),
];

/// What a mesh of this kind has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Template {
    /// What it is for, in one line.
    #[serde(rename = "about")]
    _about: String,
    /// How people and agents use such a mesh.
    pub(crate) hints: String,
    /// Paths of groups, with what the one who makes the mesh is there.
    pub(crate) groups: BTreeMap<String, String>,
    /// Names of public topics, with their purpose.
    pub(crate) topics: BTreeMap<String, String>,
    /// Keys of the mesh's state, with their first values.
    pub(crate) state: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct About<'a> {
    about: &'a str,
}

/// The templates there are: name, and in one line what each is for.
///
/// ```
/// assert!(claudemesh_client::templates().any(|(name, _)| name == "dev-team"));
/// ```
pub fn templates() -> impl Iterator<Item = (&'static str, &'static str)> {
    let about = |data: &'static str| serde_json::from_str(data).map_or("", |About { about }| about);
    TEMPLATES.into_iter().map(move |(name, data)| (name, about(data)))
}

impl Template {
    /// The template of this name.
    pub(crate) fn named(name: &str) -> Result<Self, Error> {
        let Some((_, data)) = TEMPLATES.into_iter().find(|(known, _)| *known == name) else {
            let names = TEMPLATES.map(|(name, _)| name);
            let near = crate::address::near(name, names);
            let hint = if near.is_empty() {
                format!("there are {}", names.join(", "))
            } else {
                format!("did you mean {}? there are {}", near.join(" or "), names.join(", "))
            };
            return Err(Error::new(ErrorKind::Usage, format!("there is no template {name:?}")).with_hint(hint));
        };
        serde_json::from_str(data).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("the template {name:?} is damaged")).with_source(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use claudemesh_core::address::{GroupPath, Name};
    use claudemesh_core::record::{GENERAL, MAX_GROUP_ROLE, MAX_PURPOSE, StateKey};

    use super::*;

    #[test]
    fn every_template_is_within_the_bounds_of_its_records() {
        for (name, about) in templates() {
            let template = Template::named(name).unwrap();
            assert!(!about.is_empty() && !about.contains('\n') && about.len() <= 80, "{name}: {about}");
            assert!(!template.hints.is_empty() && template.hints.len() <= 1024, "{name}");
            for (topic, purpose) in &template.topics {
                assert!(topic.parse::<Name>().is_ok() && topic != GENERAL && purpose.len() <= MAX_PURPOSE, "{topic}");
            }
            for (group, role) in &template.groups {
                assert!(GroupPath::new(group).is_ok() && role.len() <= MAX_GROUP_ROLE, "{group}");
            }
            for key in template.state.keys() {
                assert!(key.parse::<StateKey>().is_ok() && !["template", "hints"].contains(&key.as_str()), "{key}");
            }
        }
    }

    #[test]
    fn an_unknown_template_is_answered_with_those_there_are() {
        let error = Template::named("dev-taem").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(error.hint(), Some("did you mean dev-team? there are dev-team, research, ops-incident, personal"));
    }
}
