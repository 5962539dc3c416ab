//! The tools through a client of MCP that others wrote, and messages as channel notifications.

use std::process::Stdio;

use claudemesh_tests::e2e::{Scene, binary, until};
use serde_json::Value;

#[test]
fn a_client_by_others_uses_the_tools_and_is_notified() {
    let modules = std::env::var_os("CLAUDEMESH_TEST_MODULES").expect("`cargo xtask host-test` names the SDK");
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let folder = scene.join("client");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(modules, folder.join("node_modules")).unwrap();
    let script = folder.join("client.mjs");
    std::fs::write(&script, include_str!("client.mjs")).unwrap();
    let listening = folder.join("listening");
    let child = std::process::Command::new("node")
        .args([&script, &binary(), &listening])
        .env("CLAUDEMESH_HOME", bob.home())
        .env_remove("CLAUDE_CODE_MESSAGING_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until("the client listens", || {
        let sessions = bob.ok(&["session", "list"]);
        (listening.exists() && sessions["sessions"][0]["route"] == "channel").then_some(())
    });
    assert_eq!(alice.receive(1)[0]["body"], "from an SDK");
    let id = alice.send("bob/sdk", "hello, client", &[]);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["tools"].as_array().unwrap().len(), 5);
    assert!(said["peers"]["content"][0]["text"].as_str().unwrap().contains("alice"));
    assert_eq!(said["wrong"]["isError"], true);
    assert_eq!(said["notification"]["method"], "notifications/claude/channel");
    let notice = said["notification"]["params"]["content"].as_str().unwrap();
    assert!(notice.starts_with("[mesh m_") && !notice.contains("hello"), "{notice}");
    assert!(said["inbox"]["content"][0]["text"].as_str().unwrap().contains("| hello, client"));
    alice.reaches(&id, "read");
}
