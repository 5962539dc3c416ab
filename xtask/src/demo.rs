//! `cargo xtask demo`: the whole product in one run. Two people with a home and a daemon each exchange messages over an
//! embedded broker, online and offline. Every command shown is a real call of the release binary.

mod fields;
mod person;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};
use crate::process::{cargo, run as run_command, target_dir};
use fields::field;
use person::Person;

/// How long anything in the demonstration may take before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// What alice writes and bob reads.
const TO_BOB: [&str; 3] =
    ["Morning! Is the release branch green?", "Yes, tag it as 0.1.0.", "And post the notes, please."];
/// What bob writes and alice reads.
const TO_ALICE: [&str; 1] = ["Green since 9:40. Shall I tag it?"];

/// Builds the release binary and plays the scene.
pub(crate) fn run() -> Outcome {
    run_command(&mut cargo(["build", "--release", "-p", "claudemesh-cli"]))?;
    let binary = target_dir().join("release/claudemesh");
    let homes = Homes::create()?;
    // Dropped in reverse order: the daemons stop before their homes go.
    let alice = Person::new("alice", &binary, homes.path());
    let bob = Person::new("bob", &binary, homes.path());
    play(&alice, &bob)?;
    verify(&alice, &bob)?;
    println!("\nVerified: all four messages arrived exactly once, and none of their text is in the broker's files.");
    Ok(())
}

fn play(alice: &Person, bob: &Person) -> Outcome {
    scene("Alice creates a mesh. Her daemon hosts its broker on a free port and hands out an invite link.");
    let up = alice.says(&["up", "--name", "alice", "--listen", "127.0.0.1:0", "--json"])?;
    let link = field(&up, "link").ok_or_else(|| Failure::new("`up` printed no invite link"))?;

    scene("Bob joins with the link. From here on both know each other by name and key.");
    bob.says(&["join", &link, "--name", "bob"])?;
    until("alice to learn of bob", || {
        Ok(alice.asks(&["peers", "--json"])?.lines().any(|line| field_is(line, "name", "bob")))
    })?;
    alice.says(&["peers"])?;

    scene("Online: alice writes to bob by name and waits until his device has signed for it. Bob reads and answers.");
    alice.says(&["send", "bob", TO_BOB[0], "--wait", "delivered"])?;
    bob.says(&["inbox"])?;
    bob.says(&["send", "alice", TO_ALICE[0], "--wait", "delivered"])?;
    alice.says(&["inbox"])?;

    scene("Offline: bob's daemon is down. What alice sends waits, sealed, at the broker.");
    bob.says(&["down"])?;
    let first = alice.says(&["send", "bob", TO_BOB[1], "--json"])?;
    let second = alice.says(&["send", "bob", TO_BOB[2], "--json"])?;

    scene("Bob comes back: any command starts his daemon, which fetches his mail and signs the receipts.");
    bob.says(&["peers"])?;
    for sent in [&first, &second] {
        let id = field(sent, "id").ok_or_else(|| Failure::new("`send` printed no message id"))?;
        until("bob to receive his mail", || {
            let status = alice.asks(&["message", "status", &id, "--json"])?;
            Ok(field(&status, "state").is_some_and(|state| matches!(state.as_str(), "delivered" | "injected" | "read")))
        })?;
    }
    bob.says(&["inbox"])?;
    let id = field(&second, "id").unwrap_or_default();
    alice.says(&["message", "status", &id])?;
    Ok(())
}

/// Holds the run to what it is meant to show.
fn verify(alice: &Person, bob: &Person) -> Outcome {
    for (reader, texts) in [(bob, &TO_BOB[..]), (alice, &TO_ALICE[..])] {
        let inbox = reader.asks(&["inbox", "--json"])?;
        for text in texts {
            let times = fields::all(&inbox, "body").filter(|body| body == text).count();
            if times != 1 {
                return Err(Failure::new(format!("`{text}` is {times} times in the inbox")));
            }
        }
    }
    let broker = alice.home().join("broker");
    let files = files_below(&broker)
        .map_err(|error| Failure::new(format!("cannot read the broker's files in {}: {error}", broker.display())))?;
    if files.is_empty() {
        return Err(Failure::new(format!("the broker has no files in {}", broker.display())));
    }
    for text in TO_BOB.iter().chain(&TO_ALICE) {
        if files.iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes())) {
            return Err(Failure::new(format!("the broker's files hold `{text}`")));
        }
    }
    Ok(())
}

/// The contents of every file below `folder`.
fn files_below(folder: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let mut contents = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            contents.extend(files_below(&entry.path())?);
        } else if kind.is_file() {
            contents.push(std::fs::read(entry.path())?);
        }
    }
    Ok(contents)
}

fn scene(text: &str) {
    println!("\n# {text}");
}

fn field_is(json: &str, name: &str, value: &str) -> bool {
    fields::all(json, name).any(|found| found == value)
}

/// Asks again until the answer is yes.
fn until(what: &str, mut question: impl FnMut() -> Outcome<bool>) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    while !question()? {
        if Instant::now() > deadline {
            return Err(Failure::new(format!("waited {} s in vain for {what}", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The folder of both homes, removed at the end.
struct Homes(PathBuf);

impl Homes {
    fn create() -> Outcome<Self> {
        // Short, since a socket's path may not exceed about a hundred bytes.
        let path = std::env::temp_dir().join(format!("claudemesh-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .map_err(|error| Failure::new(format!("cannot create {}: {error}", path.display())))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Homes {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}
