//! The daemon under a service manager, with programs in the manager's place that note what they are asked.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use claudemesh_tests::e2e::{Person, Scene};

/// Notes its arguments, and does as a manager whose only unit runs.
const SYSTEMCTL: &str = "#!/bin/sh\necho \"$*\" >> \"$HOME/asked\"\n[ ! -e \"$HOME/absent\" ]\n";

fn user(scene: &Scene) -> Person {
    let bin = scene.join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir_all(scene.join("user")).unwrap();
    fs::write(bin.join("systemctl"), SYSTEMCTL).unwrap();
    fs::set_permissions(bin.join("systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    scene
        .person("alice")
        .with_variable("HOME", scene.join("user"))
        .with_variable("XDG_CONFIG_HOME", "")
        .with_variable("PATH", format!("{}:{path}", bin.display()))
}

fn asked(scene: &Scene) -> String {
    fs::read_to_string(scene.join("user/asked")).unwrap_or_default()
}

#[test]
fn a_unit_is_written_started_and_taken_away() {
    let scene = Scene::new();
    let alice = user(&scene);
    alice.ok(&["up", "--name", "alice", "--listen", "127.0.0.1:0"]);
    let service = alice.ok(&["service", "install"]);
    assert_eq!((&service["installed"], &service["active"]), (&true.into(), &true.into()));
    let unit = scene.join("user/.config/systemd/user/claudemesh.service");
    let text = fs::read_to_string(&unit).unwrap();
    assert!(text.contains(&format!("Environment=\"CLAUDEMESH_HOME={}\"", alice.home().display())), "{text}");
    assert!(text.contains("/claudemesh\" daemon\n"), "{text}");
    assert_eq!(alice.daemons(), 0, "the one started on demand gave way");
    let start = "--user daemon-reload\n--user enable claudemesh.service\n--user restart claudemesh.service\n";
    assert!(asked(&scene).contains(start), "{}", asked(&scene));
    assert_eq!(alice.run(&["service", "install", "--print"]).out, text);

    assert_eq!(alice.ok(&["service", "status"])["enabled"], true);
    let gone = alice.ok(&["service", "uninstall"]);
    assert_eq!(gone["installed"], false);
    assert!(!unit.exists() && asked(&scene).contains("--user disable --now claudemesh.service\n"));
    assert_eq!(alice.ok(&["service", "uninstall"])["installed"], false);
}

#[test]
fn without_a_manager_nothing_is_written_and_what_to_do_is_said() {
    let scene = Scene::new();
    let alice = user(&scene);
    fs::write(scene.join("user/absent"), "").unwrap();
    let error = alice.fails(&["service", "install"], 6, "unreachable");
    assert!(error["error"]["hint"].as_str().unwrap().contains("claudemesh up --foreground"), "{error}");
    assert!(!scene.join("user/.config").exists());
    assert_eq!(alice.ok(&["service", "status"])["installed"], false);
    assert_eq!(alice.ok(&["service", "uninstall"])["installed"], false);
    assert!(alice.run(&["service", "install", "--print"]).out.contains("ExecStart="));
}

#[test]
fn units_of_others_stay() {
    let scene = Scene::new();
    let alice = user(&scene);
    let unit = scene.join("user/.config/systemd/user/claudemesh.service");
    fs::create_dir_all(unit.parent().unwrap()).unwrap();
    fs::write(&unit, "[Service]\nExecStart=/bin/mine\n").unwrap();
    alice.fails(&["service", "install"], 7, "conflict");
    alice.fails(&["service", "uninstall"], 7, "conflict");
    assert_eq!(fs::read_to_string(&unit).unwrap(), "[Service]\nExecStart=/bin/mine\n");

    fs::remove_file(&unit).unwrap();
    alice.ok(&["service", "install"]);
    let other = user(&scene).with_variable("CLAUDEMESH_HOME", scene.join("other"));
    other.fails(&["service", "install"], 7, "conflict");
}
