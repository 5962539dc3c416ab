//! Beside Claude Code: installing, what `doctor` says, the status line, and away again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use claudemesh_tests::e2e::{Person, Scene, until};
use serde_json::Value;

/// A person with folders of its own for everything another program looks for.
fn user(scene: &Scene, name: &str) -> Person {
    let bin = scene.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let path = std::env::var("PATH").unwrap();
    scene
        .person(name)
        .with_variable("HOME", scene.join("user"))
        .with_variable("CLAUDE_CONFIG_DIR", settings(scene).parent().unwrap())
        .with_variable("PATH", format!("{}:{path}", bin.display()))
}

fn settings(scene: &Scene) -> PathBuf {
    scene.join("user/.claude/settings.json")
}

/// A program of this name that prints a line.
fn program(scene: &Scene, name: &str, script: &str) {
    let path = scene.join("bin").join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn check<'a>(diagnosis: &'a Value, name: &str) -> &'a Value {
    let checks = diagnosis["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name} in {diagnosis}"))
}

fn diagnosis(person: &Person, exit: i32) -> Value {
    let ran = person.run(&["doctor", "--json"]);
    assert_eq!(ran.code, Some(exit), "{}{}", ran.out, ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn installed_and_uninstalled_with_or_without_the_host() {
    let scene = Scene::new();
    let alice = user(&scene, "alice");
    fs::create_dir_all(settings(&scene).parent().unwrap()).unwrap();
    fs::write(settings(&scene), "// mine\n{ \"model\": \"opus\" }\n").unwrap();
    let dry = alice.ok(&["install", "--status-line", "--dry-run"]);
    assert!(dry["changes"][2]["diff"].as_str().unwrap().contains("\"statusLine\""), "{dry}");
    assert!(!scene.join("user/.claude/skills").exists() && !alice.home().exists());

    let done = alice.ok(&["install", "--status-line"]);
    assert_eq!((&done["installed"], &done["changed"]), (&true.into(), &true.into()));
    assert_eq!(alice.ok(&["install"])["changed"], false);
    let plugin = scene.join("user/.claude/skills/claudemesh");
    let server: Value = serde_json::from_slice(&fs::read(plugin.join(".mcp.json")).unwrap()).unwrap();
    let server = &server["mcpServers"]["mesh"];
    assert!(server["command"].as_str().unwrap().ends_with("/claudemesh"), "{server}");
    assert_eq!(server["env"]["CLAUDEMESH_HOME"], alice.home().to_str().unwrap());

    alice.ok(&["uninstall"]);
    assert_eq!(fs::read_to_string(settings(&scene)).unwrap(), "// mine\n{ \"model\": \"opus\" }\n");
    assert_eq!(fs::read_dir(settings(&scene).parent().unwrap()).unwrap().count(), 1);
    assert_eq!(alice.ok(&["uninstall"])["changed"], false);
}

#[test]
fn what_cannot_be_changed_is_said_and_left() {
    let scene = Scene::new();
    let alice = user(&scene, "alice");
    fs::create_dir_all(settings(&scene).parent().unwrap()).unwrap();
    fs::write(settings(&scene), "{ \"model\": ").unwrap();
    let error = alice.fails(&["install", "--status-line"], 8, "corrupt");
    assert!(error["error"]["message"].as_str().unwrap().contains("settings.json"), "{error}");
    fs::write(settings(&scene), "{ \"statusLine\": { \"type\": \"command\", \"command\": \"mine\" } }").unwrap();
    alice.fails(&["install", "--status-line"], 7, "conflict");
    assert_eq!(fs::read_dir(settings(&scene).parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn the_doctor_says_what_is_wrong_and_how_to_mend_it() {
    let scene = Scene::new();
    let alice = user(&scene, "alice");
    program(&scene, "claude", "echo '2.1.329 (Claude Code)'");
    let first = diagnosis(&alice, 6);
    assert_eq!(first["ok"], false);
    assert_eq!(
        (&check(&first, "home")["verdict"], &check(&first, "daemon")["code"]),
        (&"warning".into(), &"unreachable".into())
    );
    assert!(check(&first, "plugin")["fix"].as_str().unwrap().contains("claudemesh install"));
    assert_eq!(alice.daemons(), 0, "it only looks");

    let broker = scene.broker();
    alice.ok(&["up", "--name", "alice", "--broker", &broker.url()]);
    alice.ok(&["install"]);
    alice.is_connected(true);
    let well = diagnosis(&alice, 0);
    for name in ["home", "daemon", "store", "broker", "clock", "claude", "plugin", "enabled", "hooks"] {
        assert_eq!(check(&well, name)["verdict"], "ok", "{well}");
    }
    let shown = alice.run(&["doctor"]);
    assert!(shown.out.contains("ok       daemon: claudemesh "), "{}", shown.out);

    fs::write(settings(&scene), "{ \"disableAllHooks\": true }").unwrap();
    assert_eq!(check(&diagnosis(&alice, 4), "hooks")["verdict"], "failed");
    fs::write(settings(&scene), "nonsense").unwrap();
    assert_eq!(check(&diagnosis(&alice, 8), "settings")["verdict"], "failed");
    fs::remove_file(settings(&scene)).unwrap();
    program(&scene, "claude", "echo '1.0.3 (Claude Code)'");
    assert!(check(&diagnosis(&alice, 7), "claude")["message"].as_str().unwrap().contains("too old"));
    program(&scene, "claude", "exit 1");
    assert_eq!(check(&diagnosis(&alice, 0), "claude")["verdict"], "warning");
    fs::remove_dir_all(alice.home().join("data/claude-code/plugin")).unwrap();
    assert_eq!(check(&diagnosis(&alice, 3), "plugin")["verdict"], "failed");
    alice.ok(&["install"]);
    drop(broker);
    alice.is_connected(false);
    assert_eq!(check(&diagnosis(&alice, 6), "broker")["verdict"], "failed");
}

#[test]
fn the_status_line_is_one_line_whatever_runs() {
    let scene = Scene::new();
    let alice = user(&scene, "alice");
    let line = || {
        let ran = alice.run_with(&["statusline"], Some(b"{\"session_id\":\"x\"}"));
        assert_eq!((ran.code, ran.err.as_str(), ran.out.lines().count()), (Some(0), "", 1), "{}", ran.out);
        assert!(ran.out.starts_with("mesh") && ran.out.ends_with('\n'), "{}", ran.out);
        ran.out.trim_end().to_owned()
    };
    assert_eq!(line(), "mesh · not running");
    assert_eq!(alice.daemons(), 0);
    let broker = scene.broker();
    alice.ok(&["up", "--name", "alice", "--mesh", "team", "--broker", &broker.url()]);
    // On a busy machine the daemon may need longer than a status line waits.
    until("the daemon answers in time", || line().starts_with("mesh team · alice").then_some(()));
    let _ = alice.kill();
    assert_eq!(line(), "mesh · not running");
}
