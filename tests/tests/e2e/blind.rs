//! The broker sees nothing it need not: canaries are planted everywhere and searched in all it keeps and logs, and every
//! column of its store is one that the documents name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use claudemesh_tests::e2e::{Broker, Person, Scene, text_of, until};
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

use super::homes::check_modes;

const NAME: &str = "canaryname7";
const GUEST: &str = "canaryguest7";
const HINT: &str = "canaryhint7";
const LABEL: &str = "canarylabel7";
const RENAMED: &str = "canaryrenamed7";
const SUMMARY: &str = "canarysummary7";
const SESSION: &str = "canarysession7";
const BODY: &str = "canarybody7";
const LATE: &str = "canarylate7";
const TOPIC: &str = "canarytopic7";
const PURPOSE: &str = "canarypurpose7";
const SECRET: &str = "canarysecret7";
const POST: &str = "canarypost7";
const GROUP: &str = "canarygroup7";
const ALL: &str = "canaryall7";
const KEY: &str = "canarykey7";
const VALUE: &str = "canaryvalue7";
const MEMORY: &str = "canarymemory7";
const TAG: &str = "canarytag7";
const TASK: &str = "canarytask7";

/// Every column of the broker's store, as table.column: what its operator can learn, and nothing else.
const COLUMNS: &[&str] = &[
    "store.one",
    "store.store_id",
    "store.commits",
    "meshes.n",
    "meshes.id",
    "roster.key",
    "roster.hash",
    "roster.at",
    "roster.member",
    "roster.entry",
    "devices.n",
    "devices.mesh",
    "devices.id",
    "devices.last_mail",
    "devices.mail_rows",
    "devices.last_notice",
    "devices.removed",
    "devices.min_expires",
    "records.device",
    "records.counter",
    "records.prekeys",
    "records.record",
    "proofs.device",
    "proofs.proof",
    "runs.sender",
    "runs.recipient",
    "runs.lane",
    "runs.runs",
    "ids.sender",
    "ids.id",
    "ids.attempt",
    "ids.hash",
    "ids.day",
    "refused.sender",
    "refused.recipient",
    "refused.id",
    "refused.attempt",
    "refused.lane",
    "refused.seq",
    "refused.at",
    "mail.key",
    "mail.sender",
    "mail.id",
    "mail.attempt",
    "mail.hash",
    "mail.lane",
    "mail.seq",
    "mail.expires",
    "mail.body",
    "mail.record",
    "mail.member_of",
    "mail.envelope",
    "scheduled.n",
    "scheduled.recipient",
    "scheduled.due",
    "scheduled.sender",
    "scheduled.id",
    "scheduled.attempt",
    "scheduled.hash",
    "scheduled.lane",
    "scheduled.seq",
    "scheduled.expires",
    "scheduled.body",
    "scheduled.record",
    "scheduled.member_of",
    "scheduled.envelope",
    "bodies.n",
    "bodies.envelope",
    "body_refs.n",
    "body_refs.refs",
    "notices.key",
    "notices.at",
    "notices.recipient",
    "notices.attempt",
    "notices.bytes",
    "logs.n",
    "logs.mesh",
    "logs.id",
    "logs.tail",
    "logs.chain",
    "logs.epoch",
    "logs.state",
    "log_entries.key",
    "log_entries.hash",
    "log_entries.chain",
    "log_entries.entry",
    "log_seqs.author",
    "log_seqs.log",
    "log_seqs.seq",
    "log_seqs.pos",
];

/// Every field of a log line.
const LOG_FIELDS: &[&str] = &[
    "timestamp",
    "level",
    "target",
    "fields",
    "message",
    "address",
    "error",
    "mesh",
    "device",
    "code",
    "connection",
    "mode",
    "why",
];

/// The text itself and what a careless broker could make of it.
fn traces(canary: &str) -> Vec<Vec<u8>> {
    let mut traces = vec![canary.as_bytes().to_vec(), canary.to_uppercase().into_bytes()];
    traces.push(HEXLOWER.encode(canary.as_bytes()).into_bytes());
    traces.push(HEXUPPER.encode(canary.as_bytes()).into_bytes());
    // In base64 a text looks different at each of three places; the characters it shares with its neighbours are cut.
    for shift in 0..3 {
        let shifted = [&b"xx"[..shift], canary.as_bytes()].concat();
        let whole = shifted.len() / 3 * 3;
        for encoded in [BASE64_NOPAD.encode(&shifted[..whole]), BASE64URL_NOPAD.encode(&shifted[..whole])] {
            traces.push(encoded.as_bytes()[if shift == 0 { 0 } else { 4 }..].to_vec());
        }
    }
    traces
}

fn search(place: &str, bytes: &[u8], canaries: &[String]) {
    for canary in canaries {
        for trace in traces(canary) {
            let found = bytes.windows(trace.len()).any(|window| window == trace);
            assert!(!found, "{place} has a trace of {canary}: {}", String::from_utf8_lossy(&trace));
        }
    }
}

fn search_folder(folder: &Path, canaries: &[String]) {
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        search(&path.display().to_string(), path.display().to_string().as_bytes(), canaries);
        if path.is_dir() {
            search_folder(&path, canaries);
        } else {
            files += 1;
            search(&path.display().to_string(), &fs::read(&path).unwrap(), canaries);
        }
    }
    assert!(files > 0, "nothing to search in {}", folder.display());
}

fn columns(broker: &Broker) -> BTreeSet<String> {
    let db = rusqlite::Connection::open(broker.data().join("broker.db")).unwrap();
    let mut query = db
        .prepare(
            "SELECT t.name || '.' || c.name FROM sqlite_schema t, pragma_table_info(t.name) c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        )
        .unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn fields(value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                found.insert(key.clone());
                fields(value, found);
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|value| fields(value, found)),
        _ => {}
    }
}

#[test]
fn the_search_finds_what_is_there() {
    for text in ["a canarybody7 b", "63616e617279626f647937", "xxY2FuYXJ5Ym9keTcx"] {
        let found = std::panic::catch_unwind(|| search("a place", text.as_bytes(), &[BODY.to_owned()]));
        assert!(found.is_err(), "{text}");
    }
}

fn write_to_rooms(alice: &Person) {
    alice.ok(&["topic", "create", TOPIC, "--purpose", PURPOSE]);
    alice.ok(&["topic", "post", TOPIC, POST]);
    alice.ok(&["topic", "create", SECRET, "--private", "--member", GUEST]);
    alice.ok(&["topic", "post", SECRET, POST]);
    alice.ok(&["group", "join", &format!("@{GROUP}")]);
    alice.ok(&["send", "*", ALL]);
    alice.ok(&["state", "set", KEY, VALUE]);
    alice.ok(&["remember", MEMORY, "--tag", TAG]);
    alice.ok(&["task", "create", TASK]);
}

#[test]
fn the_broker_keeps_and_logs_nothing_it_need_not() {
    let scene = Scene::new();
    let mut broker = scene.broker();
    let alice = scene.person("alice");
    let up = alice.ok(&["up", "--mesh", LABEL, "--name", NAME, "--broker", &broker.url()]);
    let invite = alice.ok(&["invite", "--name-hint", HINT, "--uses", "2"]);
    let bob = scene.person("bob");
    bob.ok(&["join", &text_of(&invite, "/link"), "--name", GUEST]);
    let carol = scene.person("carol");
    carol.ok(&["join", &text_of(&invite, "/link")]);
    for (person, knows) in [(&alice, HINT), (&alice, GUEST), (&bob, NAME), (&bob, HINT)] {
        person.knows(knows);
    }
    alice.ok(&["summary", SUMMARY]);
    until("the summary is seen", || bob.run(&["peers", "--json"]).out.contains(SUMMARY).then_some(()));
    alice.ok(&["mesh", "rename", LABEL, RENAMED]);
    alice.send(GUEST, BODY, &["--session", SESSION, "--wait", "delivered"]);
    let id = alice.send(&format!("{GUEST}/{SESSION}"), &format!("{BODY} again"), &["--wait", "delivered"]);
    bob.ok(&["inbox", "--unread"]);
    bob.send(NAME, BODY, &["--reply-to", &id, "--wait", "delivered"]);
    // Some mail lies at the broker while it is searched.
    carol.ok(&["down"]);
    alice.send(HINT, LATE, &["--wait", "accepted"]);
    alice.ok(&["member", "role", GUEST, "admin"]);
    write_to_rooms(&alice);
    broker.stop();
    broker.resume();

    let mut canaries: Vec<String> =
        [NAME, GUEST, HINT, LABEL, RENAMED, SUMMARY, SESSION, BODY, LATE].map(str::to_owned).to_vec();
    canaries.extend([TOPIC, PURPOSE, SECRET, POST, GROUP, ALL, KEY, VALUE, MEMORY, TAG, TASK].map(str::to_owned));
    for link in [&up["link"], &invite["link"]] {
        canaries.push(link.as_str().unwrap().split('#').nth(1).unwrap().to_owned());
    }
    canaries.push(text_of(&up, "/recovery_key").rsplit('-').next().unwrap().to_owned());
    search_folder(broker.data(), &canaries);
    search("the log", broker.log().as_bytes(), &canaries);
    check_modes(broker.data());

    assert!(!broker.log().contains("this is a bug"), "{}", broker.log());
    let mut found = BTreeSet::new();
    for line in broker.log().lines() {
        let value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        fields(&value, &mut found);
    }
    let unknown: Vec<&String> = found.iter().filter(|field| !LOG_FIELDS.contains(&field.as_str())).collect();
    assert!(
        unknown.is_empty(),
        "log fields that are not on the list of what a broker may log: {unknown:?} in {}",
        broker.log()
    );
    broker.stop();
    search_folder(broker.data(), &canaries);
    let known: BTreeSet<String> = COLUMNS.iter().map(|&column| column.to_owned()).collect();
    assert_eq!(columns(&broker), known, "a column is not on the list of what a broker may keep");
}
