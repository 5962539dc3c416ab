//! Tells a person at a terminal that something takes its time.

use std::future::Future;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{interval, sleep};

use crate::output::Output;

/// What is done within this time needs no spinner.
const QUICK: Duration = Duration::from_secs(1);
const FRAME: Duration = Duration::from_millis(100);

/// Waits for `work`; a spinner turns on a terminal after a second.
pub(crate) async fn patiently<T>(output: &Output, text: &'static str, work: impl Future<Output = T>) -> T {
    if output.json || !output.err.terminal {
        return work.await;
    }
    tokio::pin!(work);
    tokio::select! {
        result = &mut work => return result,
        () = sleep(QUICK) => {}
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::default_spinner());
    bar.set_message(text);
    let mut frames = interval(FRAME);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            _ = frames.tick() => bar.tick(),
        }
    };
    bar.finish_and_clear();
    result
}
