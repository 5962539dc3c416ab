//! What `install` puts beside the real Claude Code: it passes the host's own check, is loaded, works, and goes.

use std::path::Path;
use std::process::{Command, Output};

use claudemesh_tests::claude::{Api, Claude};
use claudemesh_tests::e2e::{Person, Scene, until};
use serde_json::Value;

/// The host's own verbs, in a home of a user's.
fn plugin(home: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(Claude::program());
    command.arg("plugin").args(args).env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin");
    command.env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1").output().expect("Claude Code runs")
}

fn listed(home: &Path) -> Value {
    serde_json::from_slice(&plugin(home, &["list", "--json"]).stdout).expect("it is JSON")
}

#[test]
fn what_is_installed_is_loaded_works_and_goes() {
    let scene = Scene::new();
    let broker = scene.broker();
    let alice: Person = scene.founder("alice", &broker);
    let user = alice.home().join("user");
    let alice = alice.with_variable("HOME", &user).with_variable("CLAUDE_CONFIG_DIR", user.join(".claude"));
    alice.ok(&["install", "--allow-tools"]);

    let link = user.join(".claude/skills/claudemesh");
    let checked = plugin(&user, &["validate", "--strict", link.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let found = listed(&user);
    assert_eq!((&found[0]["id"], &found[0]["enabled"]), (&"claudemesh@skills-dir".into(), &true.into()), "{found}");

    let api = Api::start();
    let mut claude = Claude::installed(&alice, &api, "api", &[]);
    claude.say("hello");
    api.expects(&["hello", "## plugin:claudemesh:mesh", "- claudemesh:mesh: Write to"]);
    claude.turn_ends();
    until("its server and its hooks have spoken to the daemon", || {
        let sessions = alice.ok(&["session", "list"]);
        sessions["sessions"]
            .as_array()?
            .iter()
            .find(|session| session["route"] == "socket" && session["source"] == "hook")?;
        Some(())
    });
    let checks = alice.ok(&["doctor"])["checks"].clone();
    let session = checks.as_array().unwrap().iter().find(|check| check["name"] == "session").unwrap();
    assert_eq!(session["verdict"], "ok", "{checks}");
    claude.leave();

    alice.ok(&["uninstall"]);
    assert_eq!(listed(&user), Value::Array(Vec::new()));
    for gone in ["skills", "settings.json", "settings.json.before-claudemesh", "plugins/data/claudemesh-skills-dir"] {
        assert!(std::fs::symlink_metadata(user.join(".claude").join(gone)).is_err(), "{gone}");
    }
}
