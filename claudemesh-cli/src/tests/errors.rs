//! Errors: one object or a few lines, the right exit code, the next step.

use claudemesh_client::ErrorKind;
use serde_json::json;

use crate::testing::{Fake, LINK, Setting, run, run_in};

#[test]
fn every_kind_has_its_code_and_leaves_standard_output_empty() {
    for kind in ErrorKind::ALL {
        for args in [
            &["whoami", "--json"][..],
            &["send", "bob", "hi", "--json"],
            &["inbox", "--json"],
            &["listen", "--json"],
            &["up", "--json"],
        ] {
            let ran = run(Fake { failure: Some(kind), ..Fake::default() }, args);
            assert_eq!(ran.code, kind.exit_code(), "{kind:?} {args:?}");
            let error = ran.error();
            assert_eq!(error["error"]["code"], kind.code());
            assert_eq!(error["error"]["hint"], "do something else");
        }
    }
}

#[test]
fn a_reader_gets_the_error_and_the_next_step() {
    let ran = run(Fake { failure: Some(ErrorKind::NotFound), ..Fake::default() }, &["whoami"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert_eq!(ran.err, "error: whoami does not work\nhint: do something else\n");
}

#[test]
fn usage_errors_become_json() {
    for (args, hint) in [
        (&["inbox", "--unreda", "--json"][..], "--unread"),
        (&["--json", "inbx"], "inbox"),
        (&["send", "bob", "--json"], "--help"),
        (&["--json"], "--help"),
        (&["invite", "--expires", "7", "--json"], "--help"),
    ] {
        let ran = run(Fake::default(), args);
        assert_eq!((ran.code, ran.calls().len()), (2, 0), "{args:?}");
        let error = ran.error();
        assert_eq!(error["error"]["code"], "usage");
        assert!(error["error"]["hint"].as_str().unwrap().contains(hint), "{error}");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.contains(['\u{1b}', '\n']) && !message.starts_with("error"), "{error}");
    }
    let error = run(Fake::default(), &["invite", "--expires", "7", "--json"]).error();
    assert!(error["error"]["message"].as_str().unwrap().contains("7d"), "{error}");
}

#[test]
fn help_and_version_are_no_errors() {
    for args in [&["--help"][..], &["send", "--help"], &["help", "inbox"], &["--help", "--json"]] {
        let ran = run(Fake::default(), args);
        assert!(ran.code == 0 && ran.out.contains("Usage:") && ran.err.is_empty(), "{args:?}");
    }
    let version = run(Fake::default(), &["--version"]);
    assert_eq!((version.code, version.out), (0, format!("claudemesh {}\n", env!("CARGO_PKG_VERSION"))));
    let nothing = run(Fake::default(), &[]);
    assert!(nothing.code == 2 && nothing.out.is_empty() && nothing.err.contains("Usage:"));
}

#[test]
fn what_cannot_be_taken_back_is_asked_for() {
    let lines = [&["member", "remove", "bob"][..], &["mesh", "leave", "team"], &["mesh", "delete", "team"]];
    for args in lines {
        let ask = |stdin: &'static [u8], terminal| {
            run_in(Fake::default(), args, Setting { stdin, terminal, ..Setting::default() })
        };
        let yes = ask(b"y\n", true);
        assert!(yes.code == 0 && yes.calls().len() == 1 && yes.err.contains("[y/N]"), "{args:?}");
        for answer in [&b"n\n"[..], b"\n", b"", b"yellow\n"] {
            let no = ask(answer, true);
            assert_eq!((no.code, no.calls().len()), (2, 0), "{args:?}");
        }
        let nobody = ask(b"y\n", false);
        assert!(nobody.code == 2 && nobody.calls().is_empty() && nobody.err.contains("--yes"), "{args:?}");
    }
}

#[test]
fn a_link_is_never_repeated_in_an_error() {
    for args in [&["join", LINK][..], &[LINK], &["join", LINK, "--nmae", "x"], &["join", LINK, LINK], &[LINK, "--json"]]
    {
        let ran = run(Fake { failure: Some(ErrorKind::Expired), ..Fake::default() }, args);
        assert!(ran.code != 0 && !ran.err.contains("pAABAX") && !ran.out.contains("pAABAX"), "{}", ran.err);
    }
}

#[test]
fn standard_input_without_a_link() {
    for stdin in [&b""[..], b" \n\n", &[0xff, b'\n']] {
        let ran = run_in(Fake::default(), &["join", "-", "--json"], Setting { stdin, ..Setting::default() });
        assert_eq!((ran.code, &ran.error()["error"]["code"], ran.calls().len()), (2, &json!("usage"), 0));
    }
}
