//! Twenty programs want the same tasks and count up the same number, while the broker and daemons are killed.
//!
//! Every program is a session of its own, attached to a daemon that it shares with others: what two sessions of one daemon
//! do to one another is as much contention as what two daemons do. Every daemon verifies and reads what all the others
//! write, so that the work grows with the square of their number: a few leave two processors enough to do it in seconds.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Instant;

use claudemesh_client::{ErrorKind, api};
use claudemesh_tests::e2e::{Crew, PATIENCE, Person, Scene, Worker, text_of, until, uuid};
use futures_util::future::join_all;

const WORKERS: usize = 20;
const TASKS: usize = 500;
const INCREMENTS: usize = 200;

/// Runs the workers' programs while processes are killed; returns what came of them.
async fn work<T, F: Future<Output = T>>(
    mut crew: Crew,
    workers: &[Worker],
    pace: u64,
    program: impl Fn(Worker, mpsc::Sender<()>) -> F,
) -> (Crew, Vec<T>) {
    let (tick, ticks) = mpsc::channel();
    let begun = Instant::now();
    let programs = join_all(workers.iter().map(|worker| program(worker.clone(), tick.clone())));
    drop(tick);
    let killer = std::thread::spawn(move || (crew.kill_now_and_then(pace, &ticks), crew));
    let done = programs.await;
    let (kills, crew) = killer.join().expect("it does not panic");
    println!("{:.1?}, {kills:?}", begun.elapsed());
    assert!(kills.daemons >= 5 && kills.brokers >= 2, "{kills:?}");
    (crew, done)
}

async fn settled<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

/// Who has a task: the member, the session, and the number of the claim.
type Claim = (String, String, u64);

fn claim_of(task: &api::Task) -> Option<Claim> {
    Some((task.claimed_by.as_ref()?.id.clone(), task.session.clone()?, task.fence?))
}

/// Claims all tasks, in the same order as everybody; returns those it got.
async fn claim_all(worker: Worker, tick: mpsc::Sender<()>, tasks: Vec<String>) -> BTreeMap<String, Claim> {
    let mut won = BTreeMap::new();
    for id in tasks {
        // An answer may get lost with a daemon; the same request is asked for again, and answered.
        let request = uuid();
        let claimed = worker.insist(async || worker.mesh.tasks().claim(&id).request_id(&request).await).await;
        match claimed {
            Ok(task) => drop(won.insert(id, claim_of(&task).expect("it is claimed"))),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
        }
        let _ = tick.send(());
    }
    won
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_who_claim_the_same_tasks_one_gets_each() {
    let scene = Scene::in_memory();
    let crew = Crew::new(&scene, 5);
    let workers = crew.workers(WORKERS).await;
    let mut making = tokio::task::JoinSet::new();
    for number in 0..TASKS {
        let tasks = workers[number % WORKERS].mesh.tasks();
        making.spawn(async move { tasks.create(format!("task {number}")).await.unwrap().id });
    }
    let mut tasks = making.join_all().await;
    tasks.sort();
    for worker in &workers {
        let all = async || worker.mesh.tasks().list().limit(1000).await.ok().filter(|all| all.len() == TASKS).map(drop);
        settled("everybody knows all tasks", all).await;
    }

    let (_crew, won) = work(crew, &workers, 400, |worker, tick| claim_all(worker, tick, tasks.clone())).await;
    let mut winners = BTreeMap::new();
    for (worker, won) in workers.iter().zip(won) {
        for (id, claim) in won {
            assert_eq!(claim.1, worker.session);
            assert_eq!(winners.insert(id.clone(), claim), None, "{id} was won twice");
        }
    }
    assert_eq!(winners.len(), TASKS);
    for worker in &workers {
        let seen = settled("everybody sees all claims", async || {
            let seen = worker.insist(async || worker.mesh.tasks().list().limit(1000).await).await.unwrap();
            let seen: BTreeMap<_, _> =
                seen.iter().filter_map(|task| Some((task.id.clone(), claim_of(task)?))).collect();
            (seen.len() == TASKS).then_some(seen)
        });
        assert_eq!(seen.await, winners, "{}", worker.session);
    }
}

/// Adds one, so many times; returns how often somebody else was faster.
async fn count_up(worker: Worker, tick: mpsc::Sender<()>) -> usize {
    let state = worker.mesh.state();
    let mut beaten = 0;
    for _ in 0..INCREMENTS {
        loop {
            let before = worker.insist(async || state.entry("count").await).await.expect("it is set");
            let (version, next) = (before.version.as_str(), before.value.as_u64().expect("a number") + 1);
            let request = uuid();
            let set = async || state.compare_and_set("count", version, next).request_id(&request).await;
            match worker.insist(set).await {
                Ok(_) => break,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
            }
            beaten += 1;
        }
        let _ = tick.send(());
    }
    beaten
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_twenty_compare_and_set_loses_nothing() {
    let scene = Scene::in_memory();
    let crew = Crew::new(&scene, 3);
    let workers = crew.workers(WORKERS).await;
    workers[0].mesh.state().set("count", 0).await.unwrap();
    for worker in &workers {
        settled("everybody knows the number", async || worker.mesh.state().entry("count").await.ok().map(drop)).await;
    }

    let (_crew, beaten) = work(crew, &workers, 150, count_up).await;
    println!("beaten: {}", beaten.iter().sum::<usize>());
    for worker in &workers {
        settled(&format!("{} has counted", worker.session), async || {
            let count: usize = worker.insist(async || worker.mesh.state().get("count").await).await.unwrap();
            assert!(count <= WORKERS * INCREMENTS, "{count}");
            (count == WORKERS * INCREMENTS).then_some(())
        })
        .await;
    }
}

#[test]
fn who_did_not_hear_the_answer_asks_again_and_is_told() {
    let scene = Scene::new();
    let broker = scene.broker();
    let (alice, bob) = scene.pair(&broker);
    let [id, other, claim] = [uuid(), uuid(), uuid()];
    let old = text_of(&alice.ok(&["state", "set", "k", "1"]), "/version");
    let cas = ["state", "cas", "k", &old, "2", "--request-id", &id];
    let set = alice.ok(&cas);
    assert_eq!(alice.kill(), 1);
    assert_eq!(alice.ok(&cas)["version"], set["version"]);
    alice.fails(&["state", "cas", "k", &old, "3", "--request-id", &id], 7, "conflict");
    alice.fails(&["state", "cas", "k", &old, "2", "--request-id", &other], 7, "conflict");
    alice.fails(&["state", "cas", "k", &old, "2", "--request-id", "first"], 2, "usage");

    let task = text_of(&alice.ok(&["task", "create", "build"]), "/id");
    until("bob knows the task", || (bob.run(&["task", "show", &task]).code == Some(0)).then_some(()));
    let asked = ["task", "claim", &task, "--session", "ci", "--request-id", &claim];
    let claimed = alice.ok(&asked);
    assert_eq!(alice.kill(), 1);
    assert_eq!(alice.ok(&asked)["fence"], claimed["fence"]);
    // Without its name it is a claim like any other; the claimant is told that the task is theirs.
    let again = alice.fails(&["task", "claim", &task], 7, "conflict");
    let said = text_of(&again, "/error/message");
    assert!(said.contains("claimed by you, in session ci") && said.contains(&claimed["fence"].to_string()), "{said}");
    let theirs = bob.fails(&["task", "claim", &task], 7, "conflict");
    assert!(text_of(&theirs, "/error/message").contains("claimed by alice"), "{theirs}");
    // A claim that was given back is not had again by asking for it again.
    alice.ok(&["task", "release", &task]);
    alice.fails(&asked, 7, "conflict");
}

#[test]
fn what_was_on_its_way_when_the_daemon_died_is_answered_later() {
    let scene = Scene::new();
    let mut broker = scene.broker();
    let alice = scene.founder("alice", &broker);
    let old = text_of(&alice.ok(&["state", "set", "k", "1"]), "/version");
    let (id, seen) = (uuid(), broker.url());
    let cas = ["state", "cas", "k", &old, "2", "--request-id", &id];
    broker.freeze();
    std::thread::scope(|threads| {
        let asking = threads.spawn(|| alice.run(&[&cas[..], &["--json"]].concat()));
        until("it is queued", || store_has(&alice, &id).then_some(()));
        assert_eq!(alice.kill(), 1);
        let unheard = asking.join().unwrap().fails(6, "unreachable");
        assert!(text_of(&unheard, "/error/hint").contains(&id), "{unheard}");
    });
    broker.thaw();
    broker.kill();
    broker.resume();
    assert_eq!(broker.url(), seen);
    assert_eq!(alice.ok(&cas)["value"], 2);
    assert_eq!(alice.ok(&["state", "get", "k"])["value"], 2);
}

/// Whether a request is noted in the store of a home whose daemon runs: its bytes are in the write-ahead log.
fn store_has(person: &Person, id: &str) -> bool {
    let id = id.parse::<claudemesh_client::MessageId>().unwrap();
    let file = |name: &str| std::fs::read(person.home().join(name)).unwrap_or_default();
    ["data/store.db-wal", "data/store.db"].iter().any(|name| file(name).windows(16).any(|bytes| bytes == id.as_bytes()))
}
