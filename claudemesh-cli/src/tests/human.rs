//! Pages as a reader sees them.

use crate::testing::{Fake, ID, LINK, Setting, run, run_in};

fn page(args: &[&str]) -> String {
    let ran = run(Fake::default(), args);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out
}

#[test]
fn a_first_up() {
    assert_eq!(
        page(&["up"]),
        format!(
            "team is made, and up
  mesh    team (feedface)
  you     alice (a11ce000)
  broker  ws://127.0.0.1:7900

A link for the next person. Whoever has it can join: send it to nobody else.

{LINK}

They run: claudemesh join - (then paste it), or claudemesh 'LINK'

recovery key: shown this once. Store it away from this machine, such as in a password manager.
  Whoever has it can take the mesh over; without it a lost owner cannot be replaced.

  RECOVERY-KEY
"
        )
    );
    let later = run(Fake { created: false, ..Fake::default() }, &["up"]).out;
    assert!(later.starts_with("team is up\n") && !later.contains("recovery"));
}

#[test]
fn an_invite_for_a_script_is_its_link_alone() {
    let ran = run(Fake::default(), &["invite"]);
    assert_eq!(ran.out, format!("{LINK}\n"));
    assert_eq!(
        ran.err,
        "for one person, until 2026-11-28 06:55 UTC; invite 5d41a02b\nwhoever has the link can join: send it to nobody \
         else\nwarning: this link only works on this machine\n"
    );
}

#[test]
fn an_invite_on_a_terminal_has_a_code_to_scan() {
    let ran = run_in(Fake::default(), &["invite"], Setting { terminal: true, ..Setting::default() });
    assert_eq!(ran.out.lines().next(), Some(LINK));
    assert!(ran.out.contains('▀') && ran.out.lines().skip(1).all(|line| line.chars().count() <= 80));
    let json = run_in(Fake::default(), &["invite", "--json"], Setting { terminal: true, ..Setting::default() });
    assert!(!json.out.contains('▀'));
}

#[test]
fn joining() {
    let ran = run(Fake::default(), &["join", LINK]);
    assert_eq!(ran.out, "joined team\n  you         bob (b0b0b0b0)\n  invited by  alice (a11ce000)\n");
    assert!(ran.err.contains("claudemesh peers"));
}

#[test]
fn lists() {
    assert_eq!(page(&["peers"]), "NAME  KEY       ROLE    STATUS   SUMMARY\nbob   b0b0b0b0  member  working  tests\n");
    assert_eq!(
        page(&["invite", "list"]),
        "ID        STATE  USED    UNTIL                 ROLE    BY\n5d41a02b  open   0 of 1  2026-11-28 06:55 UTC  \
         member  alice\n"
    );
    assert_eq!(
        page(&["mesh", "list"]),
        "MESH    ID        YOU    ROLE   MEMBERS  STATE      BROKER\nteam *  feedface  alice  owner  2        connected  \
         ws://127.0.0.1:7900\n"
    );
    assert_eq!(page(&["member", "list"]), "bob  b0b0b0b0  member, human, 1 device\n    safety number 12345 67890\n");
    assert_eq!(
        page(&["message", "status", ID]),
        format!(
            "delivered  {ID}\nTO              DEVICE    STATE      SINCE                 REASON\nbob (b0b0b0b0)  \
             d1d1d1d1  delivered  2026-11-21 06:55 UTC\n"
        )
    );
}

#[test]
fn the_daemon_and_its_meshes() {
    assert_eq!(
        page(&["status"]),
        "  daemon      0.1.0, process 42
  home        /home/alice/mesh
  own broker  ws://127.0.0.1:7900

team  selected
  you      alice (a11ce000), owner
  broker   ws://127.0.0.1:7900, connected, 1.2 ms
  members  2
  unread   2 messages
  to send  1 message
  hints    say in #deploys what goes out
warning: the clock is 3 s off
incomplete: the key to epoch 1 of the whole mesh is not here yet; a member who has it hands it on
incomplete: the keys to epochs 1-3, 5 of #general are not here yet; a member who has them hands them on
"
    );
}

#[test]
fn changes_are_told_in_a_line() {
    assert_eq!(page(&["down"]), "stopped\n");
    assert_eq!(page(&["mesh", "rename", "team", "new"]), "team is now new\n");
    assert_eq!(page(&["member", "remove", "bob", "--yes"]), "removed bob\nclosed 1 invite of theirs\n");
    assert_eq!(page(&["member", "role", "bob", "admin"]), "bob is now admin\n");
    assert_eq!(page(&["status", "set", "working"]), "peers see: working\n");
    assert_eq!(page(&["summary", "x"]), "peers see: fixing the parser\n");
}

#[test]
fn hostile_names_reach_no_terminal() {
    let lines = [
        &["peers"][..],
        &["member", "list"],
        &["member", "remove", "bob", "--yes"],
        &["member", "role", "bob", "admin"],
        &["message", "status", ID],
        &["send", "bob", "hi"],
        &["join", LINK],
    ];
    for args in lines {
        for terminal in [false, true] {
            let fake = Fake { name: "b\u{1b}[2J\u{202e}\r\nob".into(), ..Fake::default() };
            let ran = run_in(fake, args, Setting { terminal, ..Setting::default() });
            assert_eq!(ran.code, 0, "{args:?}");
            assert!(!ran.out.contains(['\u{1b}', '\u{202e}', '\r']), "{args:?}: {}", ran.out);
            assert!(ran.out.contains("\\u{1b}"), "{args:?} shows the name: {}", ran.out);
        }
    }
}
