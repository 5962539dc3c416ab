//! Names of sessions.

use std::path::Path;

use claudemesh_core::address::{MAX_NAME_BYTES, SessionName};

/// What a session is called where nothing says more.
const NAMELESS: &str = "session";
/// Room for a number that makes a name unique.
const ROOM: usize = MAX_NAME_BYTES - 8;

/// A name made of what was wished for, or of a folder.
pub(crate) fn wished(name: Option<&str>, folder: Option<&str>) -> String {
    let folder = || folder.and_then(|folder| Path::new(folder).file_name()).and_then(|name| name.to_str());
    name.and_then(fit).or_else(|| folder().and_then(fit)).unwrap_or_else(|| NAMELESS.to_owned())
}

/// The nearest text that is a name; none when nothing is left of it.
fn fit(text: &str) -> Option<String> {
    let mut name = String::new();
    for c in text.trim().trim_start_matches(['.', '@', '#', '*']).chars() {
        let one = c.to_string();
        // What may not stand in a name keeps its place, so that names stay told apart.
        let fits = !c.is_whitespace() && format!("x{one}x").parse::<SessionName>().is_ok();
        let c = if fits { c } else { '-' };
        if name.len() + c.len_utf8() > ROOM {
            break;
        }
        name.push(c);
    }
    let name = name.trim_matches('-').to_owned();
    (name.parse::<SessionName>().is_ok() && name != crate::DEFAULT_SESSION).then_some(name)
}

/// The name, or with the first number that makes it free.
pub(crate) fn free(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut tried = name.to_owned();
    let mut number = 2_u64;
    while is_taken(&tried) {
        tried = format!("{name}-{number}");
        number += 1;
    }
    tried
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_from_the_wish_else_from_the_folder() {
        assert_eq!(wished(Some("api"), Some("/srv/web")), "api");
        assert_eq!(wished(None, Some("/srv/web")), "web");
        assert_eq!(wished(None, Some("/")), "session");
        assert_eq!(wished(None, None), "session");
    }

    #[test]
    fn what_is_no_name_becomes_one() {
        for (text, name) in [
            ("my project", "my-project"),
            (".config", "config"),
            ("a/b,c", "a-b-c"),
            ("#x\u{202e}y", "x-y"),
            ("日本", "日本"),
            ("main", "session"),
            ("\u{1b}", "session"),
            ("", "session"),
        ] {
            assert_eq!(wished(Some(text), None), name, "{text:?}");
        }
        let long = wished(Some(&"é".repeat(200)), None);
        assert!(long.parse::<SessionName>().is_ok() && long.len() <= ROOM);
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        assert_eq!(free("api", |_| false), "api");
        assert_eq!(free("api", |name| name == "api" || name == "api-2"), "api-3");
    }
}
