//! Just enough JSON to pick a text field out of our own commands' output.

/// The first field of this name with a text value.
pub(super) fn field(json: &str, name: &str) -> Option<String> {
    all(json, name).next()
}

/// Every field of this name with a text value, in order, at any depth.
pub(super) fn all<'a>(json: &'a str, name: &str) -> impl Iterator<Item = String> + 'a {
    let key = format!("\"{name}\"");
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find(&key)? + key.len()..];
            if let Some(value) = rest.trim_start().strip_prefix(':')
                && let Some(text) = value.trim_start().strip_prefix('"')
            {
                return text_value(text);
            }
        }
    })
}

/// The text up to its closing quote, unescaped as far as ids, names and links need it.
fn text_value(text: &str) -> Option<String> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => value.push(chars.next()?),
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_in_compact_and_in_indented_json() {
        assert_eq!(field(r#"{"id":"a","link":"http://x/i#y"}"#, "link").as_deref(), Some("http://x/i#y"));
        assert_eq!(field("{\n  \"link\" : \"http://x/i#y\"\n}", "link").as_deref(), Some("http://x/i#y"));
    }

    #[test]
    fn a_name_used_as_a_value_is_not_the_field() {
        assert_eq!(field(r#"{"kind":"link","link":"z"}"#, "link").as_deref(), Some("z"));
        assert_eq!(field(r#"{"link":null}"#, "link"), None);
    }

    #[test]
    fn fields_come_in_order() {
        let json = r#"{"state":"accepted","recipients":[{"state":"delivered"},{"state":"a\"b"}]}"#;
        assert_eq!(all(json, "state").collect::<Vec<_>>(), ["accepted", "delivered", "a\"b"]);
    }
}
