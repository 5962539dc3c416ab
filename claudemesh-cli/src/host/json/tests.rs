use proptest::prelude::*;
use serde_json::json;

use super::*;

fn path(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn set(names: &[&str], value: Value) -> Edit {
    Edit::Set(path(names), value)
}

fn edited(text: &str, edits: &[Edit]) -> String {
    String::from_utf8(edit(text.as_bytes(), edits).unwrap()).unwrap()
}

/// Settings as people have them.
const FORMS: &[&str] = &[
    "{}",
    "{}\n",
    "{\n}\n",
    "{\"a\":1}",
    "{ \"a\": 1 }\n",
    "{\n  \"model\": \"opus\",\n  \"env\": { \"A\": \"b\" }\n}\n",
    "{\n\t\"model\": \"opus\",\n\t\"hooks\": {\n\t\t\"Stop\": [ { \"hooks\": [] } ]\n\t}\n}\n",
    "{\r\n  \"model\": \"opus\",\r\n  \"list\": [1,\r\n 2]\r\n}\r\n",
    "// mine\n{\n  // about the model\n  \"model\": \"opus\", // the good one\n  /* none */\n}\n// end",
    "{\n    \"a\" : [ 1,2 ,3 ],\n\n\n    \"b\":{\"c\"   :   null}}",
    "\u{feff}{\n  \"a\": \"é\\u00e9\"\n}\n",
    "{\n  \"a\": 1,\n}\n",
    "  \n\n{\"statusLineX\":{\"command\":\"mine\"}}  \n",
];

#[test]
fn what_is_set_is_there_and_all_else_as_it_was() {
    for form in FORMS {
        let value = json!({ "type": "command", "command": "x statusline" });
        let after = edited(form, &[set(&["statusLine"], value.clone())]);
        let mut wanted = read(form.as_bytes()).unwrap();
        wanted["statusLine"] = value;
        assert_eq!(read(after.as_bytes()).unwrap(), wanted, "{form}");
        for line in form.lines().filter(|line| line.contains("//") || line.contains("/*")) {
            assert!(after.contains(line.trim_end_matches(',')), "{line:?} in {after}");
        }
        assert_eq!(after.contains('\r'), form.contains('\r'), "{after:?}");
        assert_eq!(after.starts_with('\u{feff}'), form.starts_with('\u{feff}'), "{after:?}");
        if form.contains("\r\n") {
            assert!(!after.replace("\r\n", "").contains('\n'), "{after:?}");
        }
    }
}

#[test]
fn what_is_taken_away_again_leaves_the_rest_as_it_was() {
    for form in FORMS {
        let after = edited(form, &[set(&["statusLine"], json!({ "a": [1, 2] }))]);
        let back = edited(&after, &[Edit::Remove(path(&["statusLine"]))]);
        assert_eq!(read(back.as_bytes()).unwrap(), read(form.as_bytes()).unwrap(), "{form}");
        for line in form.lines().filter(|line| line.contains("//")) {
            assert!(back.contains(line), "{line:?} in {back}");
        }
    }
}

#[test]
fn tabs_and_indents_are_those_of_the_file() {
    let after = edited("{\n\t\"a\": 1\n}\n", &[set(&["b"], json!({ "c": 1 }))]);
    assert_eq!(after, "{\n\t\"a\": 1,\n\t\"b\": {\n\t\t\"c\": 1\n\t}\n}\n");
    let after = edited("{\n    \"a\": 1 // one\n}\n", &[set(&["b"], json!(2))]);
    assert_eq!(after, "{\n    \"a\": 1, // one\n    \"b\": 2\n}\n");
}

#[test]
fn a_file_that_was_not_there_becomes_one() {
    assert_eq!(edited("", &[set(&["a"], json!("b"))]), "{\n  \"a\": \"b\"\n}\n");
}

#[test]
fn nothing_to_do_changes_no_byte() {
    let text = "{\"a\" :{ \"b\":[ 1,\t2 ] }, }";
    let edits = [
        set(&["a", "b"], json!([1, 2])),
        Edit::Include(path(&["a", "b"]), json!(2)),
        Edit::Exclude(path(&["a", "b"]), json!(3)),
        Edit::Exclude(path(&["x", "y"]), json!(3)),
        Edit::Remove(path(&["a", "c"])),
        Edit::Remove(path(&["x", "c"])),
    ];
    assert_eq!(edited(text, &edits), text);
}

#[test]
fn lists_get_and_lose_one_item() {
    let before = "{\n  \"permissions\": {\n    \"allow\": [\n      \"Bash(ls:*)\" // listing\n    ]\n  }\n}\n";
    let rule = || path(&["permissions", "allow"]);
    let after = edited(before, &[Edit::Include(rule(), json!("ours"))]);
    assert_eq!(read(after.as_bytes()).unwrap()["permissions"]["allow"], json!(["Bash(ls:*)", "ours"]));
    assert!(after.contains("// listing"), "{after}");
    let back = edited(&after, &[Edit::Exclude(rule(), json!("ours"))]);
    assert_eq!(read(back.as_bytes()).unwrap(), read(before.as_bytes()).unwrap());
    assert!(back.contains("// listing"), "{back}");
    let made = edited("{}", &[Edit::Include(rule(), json!("ours"))]);
    assert_eq!(read(made.as_bytes()).unwrap(), json!({ "permissions": { "allow": ["ours"] } }));
}

#[test]
fn what_cannot_be_understood_is_refused() {
    let some = [set(&["a", "b"], json!(1))];
    for text in [
        "[]",
        "1",
        "{",
        "{\"a\": }",
        "{a: 1}",
        "{'a': 1}",
        "{\"a\":1}{",
        "nonsense",
        "{\"a\": 1 \"b\": 2}",
        "{\"a\": [1}",
    ] {
        assert!(edit(text.as_bytes(), &some).is_err(), "{text}");
    }
    assert!(edit(b"\xff\xfe{\0}\0", &some).unwrap_err().contains("UTF-8"));
    for (text, name) in [("{\"a\": 1}", "`a`"), ("{\"a\": null}", "`a`"), ("{\"a\": \"text\"}", "`a`")] {
        assert!(edit(text.as_bytes(), &some).unwrap_err().contains(name), "{text}");
    }
    let list = [Edit::Include(path(&["a"]), json!(1))];
    assert!(edit(b"{\"a\": {}}", &list).unwrap_err().contains("no list"));
}

#[test]
fn a_name_that_is_there_twice_is_not_guessed_about() {
    let twice = b"{\"a\": 1, \"a\": 2}";
    assert!(edit(twice, &[set(&["a"], json!(3))]).is_err());
    assert!(edit(twice, &[Edit::Remove(path(&["a"]))]).is_err());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d]{1,2}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_settings_keep_what_they_say(
        before in prop::collection::btree_map("[a-d]{1,2}", value(), 0..4),
        ours in value(),
        pretty in any::<bool>(),
        carriage in any::<bool>(),
    ) {
        let before = Value::Object(before.into_iter().collect());
        let text = if pretty { serde_json::to_string_pretty(&before) } else { serde_json::to_string(&before) }.unwrap();
        let text = if carriage { text.replace('\n', "\r\n") } else { text };
        let after = edited(&text, &[set(&["ours"], ours.clone())]);
        let mut wanted = before.clone();
        wanted["ours"] = ours;
        prop_assert_eq!(read(after.as_bytes()).unwrap(), wanted);
        let back = edited(&after, &[Edit::Remove(path(&["ours"]))]);
        prop_assert_eq!(read(back.as_bytes()).unwrap(), before);
    }

    #[test]
    fn no_bytes_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..64), text in "[{}\\[\\],:\"a/* \n]{0,40}") {
        let some = [set(&["a", "b"], json!(1)), Edit::Exclude(path(&["a"]), json!(1))];
        let _ = edit(&bytes, &some);
        let _ = edit(text.as_bytes(), &some);
    }
}
