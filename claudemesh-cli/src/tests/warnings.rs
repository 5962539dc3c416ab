//! A warning that goes with every answer: one line on standard error, once in a run.

use claudemesh_client::ErrorKind;

use crate::testing::{Fake, LINK, run};

const SKEW: &str = "warning: this clock and the broker's differ by more than a day";

fn skewed() -> Fake {
    Fake { warnings: &["clock_skew"], feed_ends: true, ..Fake::default() }
}

#[test]
fn every_verb_tells_of_a_wrong_clock() {
    for line in [
        "up",
        "up --foreground",
        "invite",
        "invite list",
        "invite revoke 5d41a02b",
        &format!("join {LINK}"),
        "send bob hi",
        "send bob hi --wait delivered",
        "inbox",
        "listen",
        &format!("message status {}", crate::testing::ID),
        "peers",
        "summary text",
        "status set dnd",
        "whoami",
        "mesh list",
        "mesh use team",
        "mesh rename team other",
        "mesh leave team --yes",
        "mesh delete team --yes",
        "member list",
        "member remove bob --yes",
        "member role bob admin",
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        let ran = run(skewed(), &args);
        assert_eq!(ran.err.matches(SKEW).count(), 1, "{line}: {}", ran.err);
        assert!(!ran.out.contains("warning: this clock"), "{line}: {}", ran.out);
        let silent = run(Fake { warnings: &[], ..skewed() }, &args);
        assert!(!silent.err.contains(SKEW), "{line}: {}", silent.err);
        assert_eq!(ran.out, silent.out, "{line}");
    }
}

#[test]
fn json_stays_as_it_is_beside_the_warning() {
    let (ran, silent) = (run(skewed(), &["whoami", "--json"]), run(Fake::default(), &["whoami", "--json"]));
    assert_eq!((ran.code, &ran.out), (0, &silent.out));
    assert!(ran.err.starts_with(SKEW) && ran.err.matches('\n').count() == 1, "{}", ran.err);
}

#[test]
fn an_error_keeps_its_stream_for_itself_when_it_is_json() {
    let failing = || Fake { failure: Some(ErrorKind::Refused), ..skewed() };
    assert_eq!(run(failing(), &["whoami", "--json"]).error()["error"]["code"], "refused");
    let ran = run(failing(), &["whoami"]);
    assert!(ran.err.starts_with(SKEW) && ran.err.contains("error: whoami does not work"), "{}", ran.err);
}

#[test]
fn a_warning_of_a_later_version_is_shown_by_its_name() {
    let ran = run(Fake { warnings: &["from_the_future\u{1b}[2J"], ..Fake::default() }, &["whoami"]);
    assert_eq!(ran.err, "warning: from_the_future\\u{1b}[2J\n");
}

#[test]
fn verbs_without_a_mesh_warn_of_nothing() {
    for line in ["down", "completions bash", "man"] {
        assert_eq!(run(skewed(), &line.split(' ').collect::<Vec<_>>()).err, "", "{line}");
    }
}
