//! The `claudemesh` command line: parses, calls the home's daemon, prints. It decides nothing.

use std::any::Any;
use std::ffi::OsString;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use claudemesh_client::{Error, ErrorKind};

use crate::app::App;
use crate::report::Failure;

mod app;
mod args;
mod broker;
mod command;
mod confirm;
mod connect;
mod daemon;
mod doctor;
mod host;
mod hosting;
mod inert;
mod logging;
mod mcp;
mod output;
mod projection;
mod qr;
mod report;
mod signal;
mod spinner;
mod stdin;
mod supervisor;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod value;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let json = args::wants_json(&args);
    panic::set_hook(Box::new(move |info| {
        // The payload may quote a message: only the place is told.
        report::report_panic(json, info.location().map(ToString::to_string).as_deref());
    }));
    let code = panic::catch_unwind(AssertUnwindSafe(|| run(args, &mut App::new(json))));
    ExitCode::from(code.unwrap_or_else(|_: Box<dyn Any + Send>| ErrorKind::Internal.exit_code()))
}

/// Runs one command line and returns the exit code.
fn run(args: Vec<OsString>, app: &mut App) -> u8 {
    let cli = match args::parse(args) {
        Ok(cli) => cli,
        Err(error) => return report::report_usage(&mut app.output, &error),
    };
    app.global = cli.global;
    app.output.json = app.global.json.is_some();
    app.output.fields = app.global.json.clone().unwrap_or_default();
    let server = cli.command.is_server();
    if server {
        logging::start(app.output.json);
        // Fails only when one is installed already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    // A verb that only asks the daemon needs no threads, and starts faster without.
    let mut runtime = if server {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let result = match runtime.enable_all().build() {
        Ok(runtime) => {
            let result = runtime.block_on(command::run(app, cli.command));
            // A read of standard input cannot be ended, and is of no more use.
            runtime.shutdown_background();
            result
        }
        Err(error) => {
            Err(Failure::from(Error::new(ErrorKind::Internal, "the runtime does not start").with_source(error)))
        }
    };
    match result {
        Ok(()) => 0,
        Err(failure) => report::report(&mut app.output, &failure),
    }
}
