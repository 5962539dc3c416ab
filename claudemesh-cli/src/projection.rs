//! `--json=FIELDS`: only the fields that were asked for. What is left of an answer has the shape the whole one has.

use std::str::FromStr;

use serde_json::Value;

pub(crate) use schema::Schema;

mod schema;

/// What `--json` alone stands for.
pub(crate) const EVERYTHING: &str = "*";

/// Fields of an answer, by path: `from.name`. None are all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<String>);

impl FromStr for Fields {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == EVERYTHING {
            return Ok(Self::default());
        }
        let paths = text.split(',').map(|path| match path.split('.').all(|name| !name.is_empty()) {
            true => Ok(path.to_owned()),
            false => Err("write fields like --json=id,from.name, or --json alone for all of them".to_owned()),
        });
        paths.collect::<Result<_, _>>().map(Self)
    }
}

impl Fields {
    /// Whether it is all of them.
    pub(crate) const fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// The same fields as paths of the whole answer: a field of a list's items needs no name of the list.
    ///
    /// # Errors
    /// The first field that such an answer does not have, with those it has.
    pub(crate) fn within(&self, schema: &Schema) -> Result<Self, String> {
        let resolve = |path: &String| {
            schema.resolve(path).ok_or_else(|| format!("there is no field `{path}`; there are: {}", schema.names()))
        };
        self.0.iter().map(resolve).collect::<Result<_, _>>().map(Self)
    }

    /// What of a value was asked for.
    pub(crate) fn of(&self, value: Value) -> Value {
        if self.is_everything() {
            return value;
        }
        pick(value, &self.0.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn pick(value: Value, paths: &[&str]) -> Value {
    match value {
        Value::Object(fields) => fields.into_iter().filter_map(|(name, value)| keep(name, value, paths)).collect(),
        Value::Array(items) => items.into_iter().map(|item| pick(item, paths)).collect(),
        // What was asked for lies below a value that has nothing below it.
        _ => Value::Null,
    }
}

fn keep(name: String, value: Value, paths: &[&str]) -> Option<(String, Value)> {
    let mut below = Vec::new();
    for rest in paths.iter().filter_map(|path| path.strip_prefix(name.as_str())) {
        match rest.strip_prefix('.') {
            _ if rest.is_empty() => return Some((name, value)),
            Some(path) => below.push(path),
            None => {}
        }
    }
    (!below.is_empty()).then(|| (name, pick(value, &below)))
}

#[cfg(test)]
mod tests {
    use claudemesh_client::api;
    use serde_json::json;

    use super::*;

    fn fields(text: &str) -> Fields {
        text.parse().unwrap()
    }

    fn resolved<T: serde::de::DeserializeOwned>(text: &str) -> Result<Vec<String>, String> {
        fields(text).within(&Schema::of::<T>()).map(|fields| fields.0)
    }

    #[test]
    fn fields_are_paths_between_commas() {
        assert_eq!(fields("id,from.name").0, ["id", "from.name"]);
        assert!(fields("*").is_everything());
        for wrong in ["", ",", "id,", ".id", "id.", "from..name"] {
            assert!(wrong.parse::<Fields>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_left_keeps_its_shape() {
        let value = json!({"id": 1, "idle": 2, "from": {"name": "bob", "id": 3}, "to": [{"name": "a", "id": 4}, {}]});
        for (asked, left) in [
            ("*", value.clone()),
            ("id", json!({"id": 1})),
            ("from", json!({"from": {"name": "bob", "id": 3}})),
            ("from.name,id", json!({"id": 1, "from": {"name": "bob"}})),
            ("from.name,from.id", json!({"from": {"name": "bob", "id": 3}})),
            ("from.name,from", json!({"from": {"name": "bob", "id": 3}})),
            ("to.name", json!({"to": [{"name": "a"}, {}]})),
            ("id.name", json!({"id": null})),
            ("absent", json!({})),
        ] {
            assert_eq!(fields(asked).of(value.clone()), left, "{asked}");
        }
    }

    #[test]
    fn fields_of_a_lists_items_need_no_name_of_the_list() {
        assert_eq!(resolved::<api::Topics>("name,unread").unwrap(), ["topics.name", "topics.unread"]);
        assert_eq!(resolved::<api::Topics>("topics.name,topics").unwrap(), ["topics.name", "topics"]);
        assert_eq!(resolved::<api::Posts>("from.name,next").unwrap(), ["posts.from.name", "next"]);
        assert_eq!(resolved::<api::Hits>("post.from.name").unwrap(), ["hits.post.from.name"]);
        // The answer's own fields come first.
        assert_eq!(resolved::<api::MessageStatus>("state,at").unwrap(), ["state", "recipients.at"]);
    }

    #[test]
    fn a_value_of_the_users_has_whatever_they_put_into_it() {
        assert_eq!(resolved::<api::StateEntry>("value.a.b").unwrap(), ["value.a.b"]);
        assert_eq!(resolved::<api::StateEntries>("key,value.a").unwrap(), ["entries.key", "entries.value.a"]);
        assert!(resolved::<api::StateEntry>("key.a").is_err());
    }

    #[test]
    fn an_unknown_field_names_those_there_are() {
        let error = resolved::<api::Topics>("nam").unwrap_err();
        assert!(error.contains("`nam`") && error.contains("name, purpose, private, joined"), "{error}");
        let error = resolved::<api::Message>("from.names").unwrap_err();
        assert!(error.contains("from, from.member, from.name, from.session"), "{error}");
    }

    #[test]
    fn events_have_fields_by_their_type() {
        assert_eq!(resolved::<api::EventRecord>("type,message.body").unwrap(), ["type", "message.body"]);
    }
}
