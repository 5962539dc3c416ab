//! Manual pages.

use std::fs;

use crate::testing::{Fake, run};

#[test]
fn the_page_is_printed_and_lists_the_verbs() {
    let ran = run(Fake::default(), &["man"]);
    assert!(ran.code == 0 && ran.err.is_empty() && ran.calls().is_empty(), "{}", ran.err);
    assert!(ran.out.contains(".TH claudemesh 1"), "{}", ran.out);
    for verb in ["send", "inbox", "completions", "man"] {
        assert!(ran.out.contains(&format!("claudemesh\\-{verb}(1)")), "{verb}");
    }
}

#[test]
fn a_folder_gets_a_page_for_every_verb_that_help_shows() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("share/man1");
    let args = ["man", "--dir", dir.to_str().unwrap()];
    // The second time over the pages of the first.
    for _ in 0..2 {
        let ran = run(Fake::default(), &args);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", ""));
    }
    for page in ["claudemesh", "claudemesh-send", "claudemesh-mesh", "claudemesh-mesh-use", "claudemesh-broker-run"] {
        let text = fs::read_to_string(dir.join(format!("{page}.1"))).unwrap();
        assert!(text.contains(&format!(".TH {page} 1")), "{page}: {text}");
    }
    for hidden in ["claudemesh-daemon.1", "claudemesh-peer.1", "claudemesh-help.1"] {
        assert!(!dir.join(hidden).exists(), "{hidden}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let ran = run(Fake::default(), &["man", "--dir", file.path().to_str().unwrap()]);
    assert_eq!((ran.code, ran.out.as_str()), (8, ""));
    assert!(ran.err.starts_with("error: the pages cannot be written to ") && ran.err.contains("hint: "), "{}", ran.err);
}
