//! Thousands of seeds of the simulation. `SEED=n` plays one of them with a trace; `SIM_SEEDS=n` plays another number.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use claudemesh_tests::sim::{self, Failure, Fixture, Plan};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Plays a plan; a panic is a failure like any other.
fn play(fixture: &Fixture, plan: Plan, traced: bool) -> Result<(), Failure> {
    let (seed, shown) = (plan.seed, plan.clone());
    catch_unwind(AssertUnwindSafe(|| sim::play(fixture, plan, traced))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
        let what = format!("panic: {}", text.unwrap_or_default());
        Err(Failure { seed, what, plan: format!("{shown:#?}"), trace: Vec::new() })
    })
}

fn explain(fixture: &Fixture, plan: Option<Plan>, failure: Failure) -> String {
    let again = plan.and_then(|plan| play(fixture, plan, true).err()).unwrap_or(failure);
    let Failure { seed, what, plan, trace } = again;
    format!("{plan}\n{}\nseed {seed}: {what}\nplay it again with SEED={seed}", trace.join("\n"))
}

/// Plays what is planned for every seed, some of them at a time.
fn play_all(seeds: u64, plan: impl Fn(u64) -> Option<Plan> + Sync) {
    let fixture = Fixture::new();
    if let Some(seed) = number("SEED") {
        let Some(planned) = plan(seed) else { return };
        match play(&fixture, planned, true) {
            Ok(()) => return,
            Err(failure) => panic!("{}", explain(&fixture, None, failure)),
        }
    }
    let seeds = number("SIM_SEEDS").unwrap_or(seeds);
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
                    let Some(planned) = plan(seed) else { continue };
                    if let Err(failure) = play(&fixture, planned, false) {
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
        panic!("{}", explain(&fixture, plan(first.seed), first));
    }
}

#[test]
fn every_seed_keeps_every_promise() {
    play_all(10_000, |seed| Some(Plan::of(seed)));
}

#[test]
fn a_clock_that_is_wrong_by_a_year_delays_and_loses_nothing() {
    play_all(60, Plan::with_wrong_clock);
}

#[test]
fn what_a_power_failure_takes_back_comes_again() {
    play_all(600, Plan::with_power_failures);
}

#[test]
fn what_is_written_to_logs_is_read_by_all_it_is_for_and_nobody_else() {
    play_all(2_000, Plan::with_logs);
}

#[test]
fn a_broker_that_lies_about_logs_is_found_out() {
    play_all(1_000, Plan::with_hostile_logs);
}
