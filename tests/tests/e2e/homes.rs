//! One home, one daemon; and homes that cannot be used.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use claudemesh_tests::e2e::{Mount, Scene};

#[test]
fn sends_at_once_on_a_cold_home_start_one_daemon() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    assert_eq!(alice.kill(), 1);
    std::thread::scope(|threads| {
        for number in 0..8 {
            let alice = &alice;
            threads.spawn(move || alice.send("bob", &format!("at once {number}"), &[]));
        }
    });
    assert_eq!(alice.daemons(), 1);
    let mut bodies: Vec<_> = bob.receive(8).iter().map(|m| m["body"].as_str().unwrap().to_owned()).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 8);
}

#[test]
fn a_second_daemon_is_locked_out() {
    let scene = Scene::new();
    let broker = scene.broker();
    let alice = scene.founder("alice", &broker);
    let pid = alice.ok(&["status"])["pid"].clone();
    let second = alice.run(&["daemon", "--json"]);
    assert_eq!(second.code, Some(8), "{}{}", second.out, second.err);
    assert!(second.out.contains("\"locked\""), "{}", second.out);
    alice.fails(&["up", "--foreground"], 8, "locked");
    assert_eq!(alice.ok(&["status"])["pid"], pid, "the first one serves on");
    assert_eq!(alice.daemons(), 1);
}

#[test]
fn a_home_that_cannot_be_written_is_refused() {
    let scene = Scene::new();
    let Some(mount) = Mount::read_only(&scene.join("alice")) else { return };
    let alice = scene.person("alice").within(&mount);
    for args in [&["up", "--name", "alice"][..], &["whoami"], &["send", "bob", "text"]] {
        alice.fails(args, 8, "unwritable");
    }
}

#[test]
fn a_file_where_the_home_should_be_is_refused() {
    let scene = Scene::new();
    fs::write(scene.join("alice"), "not a folder").unwrap();
    scene.person("alice").fails(&["whoami"], 8, "unwritable");
}

/// Moves what SQLite keeps beside the file into it.
fn whole(path: &Path) {
    let db = rusqlite::Connection::open(path).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

fn damage(path: &Path, from: usize, length: usize) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    let end = bytes.len().min(from + length);
    bytes[from..end].fill(0xa5);
    fs::write(path, &bytes).unwrap();
    bytes
}

#[test]
fn a_corrupt_store_is_refused_and_kept() {
    for (from, length) in [(0, 100), (100, usize::MAX / 2)] {
        let scene = Scene::new();
        let broker = scene.broker();
        let alice = scene.founder("alice", &broker);
        alice.ok(&["down"]);
        let store = alice.home().join("data/store.db");
        whole(&store);
        let damaged = damage(&store, from, length);
        for args in [&["whoami"][..], &["up"], &["send", "bob", "text"]] {
            alice.fails(args, 8, "corrupt");
        }
        assert!(fs::read(&store).unwrap() == damaged, "the file was left as it is");
    }
}

#[test]
fn a_corrupt_broker_store_is_refused_and_kept() {
    let scene = Scene::new();
    let mut broker = scene.broker();
    let _alice = scene.founder("alice", &broker);
    broker.stop();
    let store = broker.data().join("broker.db");
    whole(&store);
    let damaged = damage(&store, 0, 100);
    let ran = broker.rival("127.0.0.1:0");
    assert_eq!(ran.code, Some(8), "{}", ran.err);
    assert!(ran.err.contains("\"corrupt\""), "{}", ran.err);
    assert!(fs::read(&store).unwrap() == damaged, "the file was left as it is");
}

#[test]
fn a_second_broker_on_one_folder_is_locked_out() {
    let scene = Scene::new();
    let broker = scene.broker();
    let ran = broker.rival("127.0.0.1:0");
    assert_eq!(ran.code, Some(8), "{}", ran.err);
    assert!(ran.err.contains("\"locked\""), "{}", ran.err);
}

#[test]
fn a_port_that_is_taken_is_said() {
    let scene = Scene::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let alice = scene.person("alice");
    let error = alice.fails(&["up", "--name", "alice", "--listen", &address], 7, "conflict");
    assert!(error["error"]["message"].as_str().unwrap().contains(&address), "{error}");
    alice.ok(&["up", "--name", "alice", "--listen", "127.0.0.1:0"]);
    let broker = scene.broker();
    let ran = broker.rival(&address);
    assert!(ran.code == Some(7) || ran.code == Some(8), "{}", ran.err);
}

#[test]
fn what_a_home_keeps_is_its_owners_alone() {
    let scene = Scene::new();
    let alice = scene.person("alice");
    alice.ok(&["up", "--name", "alice", "--listen", "127.0.0.1:0"]);
    let bob = scene.guest("bob", &alice);
    bob.send("alice", "text", &["--wait", "delivered"]);
    for home in [alice.home(), bob.home()] {
        check_modes(home);
    }
}

/// Folders are 0700 and files 0600, below this one too.
pub(super) fn check_modes(path: &Path) {
    let metadata = fs::symlink_metadata(path).unwrap();
    let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(metadata.permissions().mode() & 0o777, wanted, "{}", path.display());
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            check_modes(&entry.unwrap().path());
        }
    }
}
