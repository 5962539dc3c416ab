//! The core crate is pure: nothing in its dependency tree reads a clock, opens a socket or asks for randomness, and it is
//! `no_std` itself. The tree is taken of the crate alone, since a workspace build unifies features.

use crate::failure::Outcome;
use crate::process::{cargo, output, root};
use crate::report::Note;
use crate::source::{self, SourceFile};

use super::{read, verdict};

const CRATE: &str = "claudemesh-core";
const FORBIDDEN: &[&str] = &["getrandom", "tokio", "socket2", "mio", "rand", "std"];

pub(super) fn check() -> Outcome<Note> {
    // Proc-macros run at build time on the host; they are not part of what is linked.
    let tree = output(&mut cargo([
        "tree",
        "-p",
        CRATE,
        "-e",
        "normal,no-proc-macro",
        "--target",
        "all",
        "--prefix",
        "none",
        "-f",
        "{p}\t{f}",
    ]))?;
    let mut findings = impurities(&tree);
    if !read(&format!("{CRATE}/src/lib.rs"))?.lines().any(|line| line.trim() == "#![no_std]") {
        findings.push(format!("{CRATE}/src/lib.rs is not unconditionally `#![no_std]`"));
    }
    let sources = source::files(&root().join(CRATE).join("src"), &[".rs"])?;
    findings.extend(sources.iter().filter_map(links_std));
    verdict("core is not pure", &findings, format!("{} crates", crates(&tree).count()))
}

/// The crates of a tree, with their features.
fn crates(tree: &str) -> impl Iterator<Item = (&str, &str)> {
    tree.lines().filter(|line| !line.ends_with("(*)")).filter_map(|line| {
        let (package, features) = line.split_once('\t')?;
        Some((package.split(' ').next()?, features))
    })
}

fn impurities(tree: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, features) in crates(tree) {
        if FORBIDDEN.contains(&name) {
            findings.push(format!("{name} is in its dependency tree"));
        }
        if features.split(',').any(|feature| matches!(feature.trim(), "std" | "getrandom" | "os_rng" | "sys_rng")) {
            findings.push(format!("{name} is built with the features {features}"));
        }
    }
    findings
}

fn links_std(file: &SourceFile) -> Option<String> {
    let test_lines = file.test_lines();
    let found = file.text.lines().zip(test_lines).any(|(line, is_test)| !is_test && line.contains("extern crate std"));
    found.then(|| format!("{CRATE}/src/{} links std outside its tests", file.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pure_tree_passes() {
        let tree = "claudemesh-core v0.1.0 (/x)\t\nsha2 v0.11.1\t\nminicbor v2.3.1\talloc,derive\nsha2 v0.11.1\t (*)\n";
        assert!(impurities(tree).is_empty());
        assert_eq!(crates(tree).count(), 3);
    }

    #[test]
    fn forbidden_crates_and_std_features_are_found() {
        let tree =
            "claudemesh-core v0.1.0 (/x)\t\ngetrandom v0.4.0\t\nsha2 v0.11.1\talloc,std\nrand_core v0.10.1\tos_rng\n";
        assert_eq!(
            impurities(tree),
            [
                "getrandom is in its dependency tree",
                "sha2 is built with the features alloc,std",
                "rand_core is built with the features os_rng"
            ]
        );
    }

    #[test]
    fn std_may_be_linked_by_tests_only() {
        let file = |text: &str| SourceFile { path: "lib.rs".to_owned(), text: text.to_owned() };
        assert!(links_std(&file("#![no_std]\n#[cfg(test)]\nextern crate std;\n")).is_none());
        assert!(links_std(&file("#![no_std]\nextern crate std;\n")).is_some());
    }
}
