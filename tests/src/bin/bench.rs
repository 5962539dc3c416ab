//! The benchmark: `cargo xtask bench [-- OPTIONS]`. How it measures stands in `docs/performance.md`.

#[path = "../bench/epoch.rs"]
mod epoch;
#[path = "../bench/history.rs"]
mod history;
#[path = "../bench/options.rs"]
mod options;
#[path = "../bench/pairs.rs"]
mod pairs;
#[path = "../bench/python.rs"]
mod python;
#[path = "../bench/report.rs"]
mod report;
#[path = "../bench/shell.rs"]
mod shell;
#[path = "../bench/system.rs"]
mod system;
#[path = "../bench/topics.rs"]
mod topics;
#[path = "../bench/town.rs"]
mod town;

#[cfg(feature = "jetstream")]
#[path = "../bench/jetstream.rs"]
mod jetstream;

#[path = "../../../claudemesh-broker/examples/store_bench.rs"]
#[allow(dead_code)]
mod store_bench;

use std::process::ExitCode;

use options::{Options, Part};
use report::Report;

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{}", options::HELP);
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(&options)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(report) => {
            report.print(options.json);
            if report.missed() == 0 || !options.check { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Fallible<Report> {
    let folder = options.folder()?;
    let mut report = Report::new(system::describe(folder.path())?);
    if options.wants(Part::Store) {
        let rate = store_bench::measure(folder.path(), options.seconds()).await?;
        report.at_least("broker store: enqueue and acknowledge", rate, "messages/s", store_bench::GATE);
    }
    if options.wants(Part::Shell) {
        shell::measure(options, folder.path(), &mut report).await?;
    }
    if options.wants(Part::Latency) || options.wants(Part::Throughput) {
        pairs::measure(options, folder.path(), &mut report).await?;
    }
    if options.wants(Part::History) {
        history::measure(options, folder.path(), &mut report).await?;
    }
    if options.wants(Part::Epoch) {
        epoch::measure(options, folder.path(), &mut report).await?;
    }
    if options.wants(Part::Topics) {
        topics::measure(options, folder.path(), &mut report).await?;
    }
    if options.wants(Part::Python) {
        python::measure(options, folder.path(), &mut report).await?;
    }
    if options.wants(Part::Jetstream) {
        #[cfg(feature = "jetstream")]
        jetstream::measure(options, &mut report).await?;
        #[cfg(not(feature = "jetstream"))]
        report.note("JetStream was left out: build with --features jetstream");
    }
    Ok(report)
}
