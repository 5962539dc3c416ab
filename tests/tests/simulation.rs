//! Thousands of seeds of the simulation. `SEED=n` plays one of them with a trace; `SIM_SEEDS=n` plays another number.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use claudemesh_tests::sim::{self, Failure, Fixture};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Plays a seed; a panic is a failure like any other.
fn play(fixture: &Fixture, seed: u64, traced: bool) -> Result<(), Failure> {
    catch_unwind(AssertUnwindSafe(|| sim::run(fixture, seed, traced))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
        let what = format!("panic: {}", text.unwrap_or_default());
        let plan = format!("{:#?}", sim::Plan::of(seed));
        Err(Failure { seed, what, plan, trace: Vec::new() })
    })
}

fn explain(fixture: &Fixture, failure: Failure) -> String {
    let again = play(fixture, failure.seed, true).err().unwrap_or(failure);
    let Failure { seed, what, plan, trace } = again;
    format!("{plan}\n{}\nseed {seed}: {what}\nplay it again with SEED={seed}", trace.join("\n"))
}

#[test]
fn every_seed_keeps_every_promise() {
    let fixture = Fixture::new();
    if let Some(seed) = number("SEED") {
        match play(&fixture, seed, true) {
            Ok(()) => return,
            Err(failure) => panic!("{}", explain(&fixture, failure)),
        }
    }
    let seeds = number("SIM_SEEDS").unwrap_or(2_000);
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let failed: Mutex<Vec<Failure>> = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    if let Err(failure) = play(&fixture, seed, false) {
                        failed.lock().expect("no thread panics").push(failure);
                        stop.store(number("SIM_ALL").is_none(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().expect("no thread panics");
    failed.sort_by_key(|failure| failure.seed);
    if number("SIM_ALL").is_some() {
        for failure in &failed {
            println!("seed {}: {}", failure.seed, failure.what);
        }
    }
    if !failed.is_empty() {
        let first = failed.swap_remove(0);
        panic!("{}", explain(&fixture, first));
    }
}

#[test]
fn a_clock_that_is_wrong_by_a_year_delays_and_loses_nothing() {
    let fixture = Fixture::new();
    let one = number("SEED");
    let seeds = one.map_or(0..number("SIM_SEEDS").unwrap_or(60), |seed| seed..seed + 1);
    for plan in seeds.filter_map(sim::Plan::with_wrong_clock) {
        if let Err(failure) = sim::play(&fixture, plan.clone(), one.is_some()) {
            let failure = sim::play(&fixture, plan, true).err().unwrap_or(failure);
            let Failure { seed, what, plan, trace } = failure;
            panic!("{plan}\n{}\nseed {seed}: {what}", trace.join("\n"));
        }
    }
}
