//! Starting Claude Code connected, with a program in its place that says what it was given.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use claudemesh_tests::e2e::{Person, Scene};

/// Says its version, or else its arguments, one a line, and what of the environment is for it.
const CLAUDE: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then echo "${FAKE_VERSION:-2.1.329} (Claude Code)"; exit; fi
for argument; do echo "<$argument>"; done
echo "session=$CLAUDEMESH_SESSION mesh=$CLAUDEMESH_MESH"
exit 42
"#;

fn user(scene: &Scene, name: &str) -> Person {
    let bin = scene.join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("claude"), CLAUDE).unwrap();
    fs::set_permissions(bin.join("claude"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    scene
        .person(name)
        .with_variable("HOME", scene.join("user"))
        .with_variable("CLAUDE_CONFIG_DIR", scene.join("user/.claude"))
        .with_variable("PATH", format!("{}:{path}", bin.display()))
}

#[test]
fn it_becomes_claude_code_with_the_plugin_and_all_it_was_given() {
    let scene = Scene::new();
    let broker = scene.broker();
    let alice = user(&scene, "alice");
    alice.ok(&["up", "--name", "alice", "--mesh", "team", "--broker", &broker.url()]);
    let mesh = alice.ok(&["whoami"])["mesh"]["id"].as_str().unwrap().to_owned();

    let args = ["launch", "--name", "api", "--groups", "backend,ops", "--role", "reviewer", "--", "-p", "two words"];
    let ran = alice.run(&args);
    let plugin = alice.home().join("data/claude-code/plugin");
    let expected = format!("<--plugin-dir>\n<{}>\n<-p>\n<two words>\nsession=api mesh={mesh}\n", plugin.display());
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(42), expected.as_str(), ""));
    assert!(plugin.join("skills/mesh/SKILL.md").exists() && !scene.join("user").exists());
    let groups = alice.ok(&["group", "list"]);
    for name in ["backend", "ops"] {
        assert!(groups.to_string().contains(name), "{groups}");
    }
    assert!(groups.to_string().contains("reviewer"), "{groups}");

    alice.ok(&["install"]);
    let ran = alice.run(&["launch", "--continue"]);
    assert_eq!(ran.out, format!("<--continue>\nsession= mesh={mesh}\n"));
    let ran = alice.run(&["launch", "--resume", "0190c2f4"]);
    assert!(ran.out.starts_with("<--resume>\n<0190c2f4>\n"), "{}", ran.out);
    let ran = alice.run(&["launch", "--resume", "--", "--verbose"]);
    assert!(ran.out.starts_with("<--resume>\n<--verbose>\n"), "{}", ran.out);
}

#[test]
fn what_is_missing_is_said_before_anything_starts() {
    let scene = Scene::new();
    let alice = user(&scene, "alice");
    let old = user(&scene, "alice").with_variable("FAKE_VERSION", "1.0.3");
    let error = |ran: claudemesh_tests::e2e::Ran, exit, text: &str| {
        assert_eq!((ran.code, ran.out.as_str()), (Some(exit), ""), "{}", ran.err);
        assert!(ran.err.contains(text) && ran.err.contains("hint: "), "{}", ran.err);
    };
    error(old.run(&["launch"]), 7, "too old");
    error(alice.run(&["launch"]), 3, "mesh");
    let nowhere = scene.person("bob").with_variable("PATH", scene.join("nothing"));
    error(nowhere.run(&["launch"]), 3, "`claude` is not on the search path");
    assert_eq!(nowhere.daemons(), 0);
}
