//! The skills that come with the plugin: short, and true to the command line.

use std::ffi::OsString;

use crate::args;
use crate::host::bundle::FILES;

/// What the skill that is loaded may cost, in tokens.
const SKILL: usize = 700;

/// Tokens of a text, rather too many than too few: tokenizers of current models take 3.3 to 4.5 bytes of such text for
/// one; three are counted.
fn tokens(text: &str) -> usize {
    text.len().div_ceil(3)
}

fn skills() -> Vec<(&'static str, &'static str)> {
    FILES.iter().copied().filter(|(path, _)| path.starts_with("skills/")).collect()
}

/// The command lines of a text: in fenced blocks, and between back quotes.
fn lines(text: &str) -> Vec<&str> {
    let fenced = text.lines().map(str::trim);
    let quoted = text.split('`').skip(1).step_by(2);
    fenced.chain(quoted).filter(|line| line.starts_with("claudemesh ")).collect()
}

#[test]
fn it_is_short() {
    let (_, text) = skills().into_iter().find(|(path, _)| *path == "skills/mesh/SKILL.md").unwrap();
    assert!(tokens(text) < SKILL, "{} tokens", tokens(text));
}

#[test]
fn every_command_line_in_it_is_one() {
    let mut seen = 0;
    for (path, text) in skills() {
        for line in lines(text) {
            let words = shlex::split(line).unwrap_or_else(|| panic!("{path}: {line}"));
            let words: Vec<OsString> = words.into_iter().map(|word| example(&word).into()).collect();
            if let Err(error) = args::parse(words) {
                panic!("{path}: {line}\n{error}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen}");
}

/// What stands for an argument, as one.
fn example(word: &str) -> &str {
    match word {
        "ID" => crate::testing::ID,
        "$ARGUMENTS" => "bob",
        word => word,
    }
}

#[test]
fn a_line_that_is_none_is_found() {
    let text = "`claudemesh frob`\n```sh\nclaudemesh send\n```\n`other claudemesh`";
    assert_eq!(lines(text), ["claudemesh send", "claudemesh frob"]);
    assert!(lines(text).iter().all(|line| args::parse(line.split(' ').map(OsString::from)).is_err()));
}

#[test]
fn each_has_a_name_and_says_when_to_use_it() {
    for (path, text) in skills() {
        let head = text.strip_prefix("---\n").and_then(|text| text.split_once("\n---\n")).map(|(head, _)| head);
        let head = head.unwrap_or_else(|| panic!("{path} has no head"));
        let folder = path.split('/').nth(1).unwrap();
        assert!(head.contains(&format!("name: {folder}\n")), "{path}");
        assert!(head.contains("\ndescription: "), "{path}");
    }
}
