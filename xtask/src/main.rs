//! Development tasks: `cargo xtask help` lists them.
//!
//! One file per task. Plain standard library, so that a fresh clone builds nothing but this to run the first one.

#![allow(clippy::print_stdout)] // A command-line program.

mod args;
mod bench;
mod check;
mod demo;
mod failure;
mod fuzz;
mod help;
mod host;
mod process;
mod python;
mod report;
mod source;
mod test;
mod venv;

use std::process::ExitCode;

use args::Task;

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    let task = match args::parse(&arguments) {
        Ok(task) => task,
        Err(error) => {
            eprintln!("error: {error}\n`cargo xtask help` lists the tasks.");
            return ExitCode::from(2);
        }
    };
    let outcome = match task {
        Task::Help => help::print(),
        Task::Test => test::run(),
        Task::Check(steps) => check::run(&steps),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Fuzz { target, arguments } => fuzz::run(target, &arguments),
        Task::Demo => demo::run(),
        Task::HostTest => host::run(),
        Task::Python => python::run(),
        Task::PythonBench(arguments) => python::bench(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
