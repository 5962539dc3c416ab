//! JSON as its author wrote it: members are added, replaced and taken away, and every other byte stays, comments, odd
//! spacing, line ends and a byte order mark included.
//!
//! What comes out is read again before it is handed on: it says what it said before, and what was asked for.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use serde_json::{Map, Value};

/// The mark some editors put at the beginning of a file.
const BOM: char = '\u{feff}';

/// Comments and trailing commas are permitted; anything else has to be JSON.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// What is wanted of one place in an object of objects.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Edit {
    /// The member has this value; objects on the way to it are made.
    Set(Vec<String>, Value),
    /// The member is not there. Objects on the way to it stay.
    Remove(Vec<String>),
    /// The list has this item; it is made when it is not there.
    Include(Vec<String>, Value),
    /// The list does not have this item. An emptied list stays.
    Exclude(Vec<String>, Value),
    /// The member is not there, if it is an object or a list with nothing in it.
    Prune(Vec<String>),
}

/// Why a text cannot be edited. Said in words that follow "cannot be edited: ".
pub(super) type Problem = String;

/// What a text says. An empty one says `{}`.
///
/// # Errors
/// It is not JSON, not an object, or has one name twice where that would be ambiguous.
pub(super) fn read(bytes: &[u8]) -> Result<Value, Problem> {
    let root = parse(text(bytes)?)?;
    if root.value().is_none() {
        return Ok(Value::Object(Map::new()));
    }
    root.to_serde_value().filter(Value::is_object).ok_or_else(|| "it is JSON, but not an object".into())
}

/// Makes the edits.
///
/// # Errors
/// As [`read`]; something on the way to a member is no object; or the result would not say what it should.
pub(super) fn edit(bytes: &[u8], edits: &[Edit]) -> Result<Vec<u8>, Problem> {
    let mut wanted = read(bytes)?;
    let before = wanted.clone();
    for edit in edits {
        edit.apply(&mut wanted)?;
    }
    if wanted == before {
        return Ok(bytes.to_vec());
    }
    let given = text(bytes)?;
    let root = parse(given)?;
    for edit in edits {
        edit.carry_out(&root)?;
    }
    let mut edited = root.to_string();
    // Lines that were added end as the others do.
    if given.contains("\r\n") && !given.replace("\r\n", "").contains('\n') {
        edited = edited.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    if read(edited.as_bytes())? != wanted {
        return Err("the change does not fit its form; it was not made".into());
    }
    if bytes.starts_with(BOM.to_string().as_bytes()) {
        edited.insert(0, BOM);
    }
    Ok(edited.into_bytes())
}

fn text(bytes: &[u8]) -> Result<&str, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("it is not UTF-8 text: {error}"))?;
    Ok(text.strip_prefix(BOM).unwrap_or(text))
}

fn parse(text: &str) -> Result<CstRootNode, Problem> {
    CstRootNode::parse(text, &OPTIONS).map_err(|error| error.to_string())
}

impl Edit {
    fn path(&self) -> &[String] {
        match self {
            Self::Set(path, _) | Self::Include(path, _) | Self::Exclude(path, _) => path,
            Self::Remove(path) | Self::Prune(path) => path,
        }
    }

    /// Makes the edit in a value, where form does not matter.
    fn apply(&self, value: &mut Value) -> Result<(), Problem> {
        let Some((last, way)) = self.path().split_last() else { return Ok(()) };
        let makes = matches!(self, Self::Set(..) | Self::Include(..));
        let mut at = value;
        for name in way {
            let object = at.as_object_mut().ok_or_else(|| not_an(name, "object"))?;
            if makes {
                object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            }
            let Some(next) = object.get_mut(name) else { return Ok(()) };
            at = next;
            if !at.is_object() {
                return if makes { Err(not_an(name, "object")) } else { Ok(()) };
            }
        }
        let Some(object) = at.as_object_mut() else { return Ok(()) };
        match self {
            Self::Set(_, value) => {
                object.insert(last.clone(), value.clone());
            }
            Self::Remove(_) => {
                object.remove(last);
            }
            Self::Prune(_) => {
                if object.get(last).is_some_and(is_empty) {
                    object.remove(last);
                }
            }
            Self::Include(_, item) => {
                let list = object.entry(last).or_insert_with(|| Value::Array(Vec::new()));
                let list = list.as_array_mut().ok_or_else(|| not_an(last, "list"))?;
                if !list.contains(item) {
                    list.push(item.clone());
                }
            }
            Self::Exclude(_, item) => {
                if let Some(list) = object.get_mut(last).and_then(Value::as_array_mut) {
                    list.retain(|other| other != item);
                }
            }
        }
        Ok(())
    }

    /// Makes the edit in the text's own form.
    fn carry_out(&self, root: &CstRootNode) -> Result<(), Problem> {
        let Some((last, way)) = self.path().split_last() else { return Ok(()) };
        match self {
            Self::Set(_, value) => {
                let object = reach(root, way)?;
                match object.get(last) {
                    Some(member) => {
                        if member.value().and_then(|value| value.to_serde_value()).as_ref() != Some(value) {
                            member.set_value(input(value));
                        }
                    }
                    None => drop(object.append(last, input(value))),
                }
            }
            Self::Include(_, item) => {
                let list = reach(root, way)?.array_value_or_create(last).ok_or_else(|| not_an(last, "list"))?;
                if !list.elements().iter().any(|other| other.to_serde_value().as_ref() == Some(item)) {
                    drop(list.append(input(item)));
                }
            }
            Self::Remove(_) => {
                if let Some(member) = find(root, way).and_then(|object| object.get(last)) {
                    member.remove();
                }
            }
            Self::Prune(_) => {
                let member = find(root, way).and_then(|object| object.get(last));
                if let Some(member) = member.filter(|member| member.to_serde_value().as_ref().is_some_and(is_empty)) {
                    member.remove();
                }
            }
            Self::Exclude(_, item) => {
                if let Some(list) = find(root, way).and_then(|object| object.array_value(last)) {
                    for other in list.elements() {
                        if other.to_serde_value().as_ref() == Some(item) {
                            other.remove();
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether there is nothing in an object or list.
fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// The object at the end of the way; what is missing is made.
fn reach(root: &CstRootNode, way: &[String]) -> Result<CstObject, Problem> {
    let mut object = root.object_value_or_create().ok_or("it is JSON, but not an object")?;
    for name in way {
        object = object.object_value_or_create(name).ok_or_else(|| not_an(name, "object"))?;
    }
    Ok(object)
}

/// The object at the end of the way, when it is there.
fn find(root: &CstRootNode, way: &[String]) -> Option<CstObject> {
    way.iter().try_fold(root.object_value()?, |object, name| object.object_value(name))
}

fn not_an(name: &str, what: &str) -> Problem {
    format!("`{name}` is in it, but is no {what}")
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(input).collect()),
        Value::Object(members) => {
            CstInputValue::Object(members.iter().map(|(name, value)| (name.clone(), input(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests;
