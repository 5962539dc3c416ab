//! Senders and receivers with homes and stores on disk, over a broker on disk, in this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use claudemesh_client::{Event, Mesh, Receipt, api};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::Fallible;
use crate::options::{Options, Part};
use crate::report::{Report, quantile};
use crate::system::processor_time;
use crate::town::Town;

/// Messages of one latency measurement at most.
const PROBES: usize = 2_000;
/// What is sent before the clock starts.
const WARM_UP: Duration = Duration::from_secs(1);

struct Pair {
    sender: Mesh,
    receiver: Mesh,
    /// What the sender calls the receiver.
    name: String,
}

pub(crate) async fn measure(options: &Options, folder: &Path, report: &mut Report) -> Fallible<()> {
    let count = if options.wants(Part::Throughput) { options.pairs } else { 1 };
    let town = Town::found(folder.join("pairs"), 2 * count).await?;
    let pairs = team(&town, count).await?;
    if options.wants(Part::Latency) {
        latency(options, &pairs[0], report).await?;
    }
    if options.wants(Part::Throughput) {
        throughput(options, &pairs, report).await?;
    }
    town.close(pairs.into_iter().flat_map(|pair| [pair.sender, pair.receiver]).collect()).await
}

async fn team(town: &Town, count: usize) -> Fallible<Vec<Pair>> {
    let mut pairs = Vec::with_capacity(count);
    for n in 0..count {
        let receiver = town.join(&format!("receiver-{n}")).await?;
        let sender = town.join(&format!("sender-{n}")).await?;
        pairs.push(Pair { sender, receiver, name: format!("receiver-{n}") });
    }
    for pair in &pairs {
        pair.sender.send(&pair.name, "warm").await?.wait(Receipt::Delivered).await?;
    }
    Ok(pairs)
}

/// One message at a time: until its receipt is at the sender, and until a program at the receiver has it.
async fn latency(options: &Options, pair: &Pair, report: &mut Report) -> Fallible<()> {
    let mut events = pair.receiver.events().await?;
    let (seen, mut arrivals) = mpsc::unbounded_channel();
    let reader = tokio::spawn(async move {
        while let Some(Ok(delivered)) = events.next().await {
            if matches!(delivered.event, Event::Message(_)) && seen.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    let (text, end) = (options.text(), Instant::now() + options.seconds());
    let (mut to_receipt, mut to_reader) = (Vec::new(), Vec::new());
    while Instant::now() < end && to_receipt.len() < PROBES {
        let sent_at = Instant::now();
        let sent = pair.sender.send(&pair.name, &text).await?;
        sent.wait(Receipt::Delivered).await?;
        to_receipt.push(sent_at.elapsed());
        let arrived = arrivals.recv().await.ok_or("the receiver's feed ended")?;
        to_reader.push(arrived - sent_at);
    }
    reader.abort();
    report.at_most("1 to 1: send to delivered, p50", quantile(&mut to_receipt, 0.5), "ms", 2.0);
    report.plain("1 to 1: send to delivered, p99", quantile(&mut to_receipt, 0.99), "ms");
    report.plain("1 to 1: send to the receiver's program, p50", quantile(&mut to_reader, 0.5), "ms");
    report.plain("1 to 1: send to the receiver's program, p99", quantile(&mut to_reader, 0.99), "ms");
    Ok(())
}

async fn throughput(options: &Options, pairs: &[Pair], report: &mut Report) -> Fallible<()> {
    let Rates { delivered, read, worked } = load(options, pairs).await?;
    let what = format!("{} pairs, window {}, {} B: delivered", pairs.len(), options.window, options.size);
    report.at_least(&what, delivered, "messages/s", 10_000.0);
    let what = format!("{} pairs, window {}, {} B: read by programs", pairs.len(), options.window, options.size);
    report.plain(&what, read, "messages/s");
    if let Some(worked) = worked {
        report.plain("processor time of senders, broker and receivers", worked, "µs/message");
    }
    Ok(())
}

/// What the pairs did.
pub(crate) struct Rates {
    /// Messages per second whose senders have seen the signed receipt.
    pub(crate) delivered: f64,
    /// Messages per second that the receivers' programs have.
    pub(crate) read: f64,
    /// Processor time of a delivered message, in microseconds, where the system tells.
    worked: Option<f64>,
}

/// The rates of a town of its own.
pub(crate) async fn rates(options: &Options, folder: PathBuf) -> Fallible<Rates> {
    let town = Town::found(folder, 2 * options.pairs).await?;
    let pairs = team(&town, options.pairs).await?;
    let rates = load(options, &pairs).await?;
    town.close(pairs.into_iter().flat_map(|pair| [pair.sender, pair.receiver]).collect()).await?;
    Ok(rates)
}

/// All pairs at once, each with a full window.
async fn load(options: &Options, pairs: &[Pair]) -> Fallible<Rates> {
    let (delivered, read) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut tasks = JoinSet::new();
    for pair in pairs {
        let free = Arc::new(Semaphore::new(options.window));
        let mut receipts = pair.sender.events().await?;
        let (count, freed) = (delivered.clone(), free.clone());
        tasks.spawn(async move {
            while let Some(Ok(event)) = receipts.next().await {
                if matches!(event.event, Event::Receipt { state: api::State::Delivered, .. }) {
                    count.fetch_add(1, Ordering::Relaxed);
                    freed.add_permits(1);
                }
            }
            Err("the sender's feed ended".into())
        });
        let mut messages = pair.receiver.events().await?;
        let count = read.clone();
        tasks.spawn(async move {
            while let Some(Ok(event)) = messages.next().await {
                if matches!(event.event, Event::Message(_)) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err("the receiver's feed ended".into())
        });
        for _ in 0..options.window {
            let (sender, name, text, free) = (pair.sender.clone(), pair.name.clone(), options.text(), free.clone());
            tasks.spawn(async move {
                loop {
                    free.acquire().await?.forget();
                    sender.send(&name, &text).await?;
                }
            });
        }
    }
    tokio::select! {
        () = tokio::time::sleep(WARM_UP) => {}
        Some(ended) = tasks.join_next() => return ended?,
    }
    let worked = processor_time();
    let (before, started) = ((delivered.load(Ordering::Relaxed), read.load(Ordering::Relaxed)), Instant::now());
    tokio::select! {
        () = tokio::time::sleep(options.seconds()) => {}
        Some(ended) = tasks.join_next() => return ended?,
    }
    let seconds = started.elapsed().as_secs_f64();
    let worked = processor_time().zip(worked).map(|(after, before)| after - before);
    let delivered_now = delivered.load(Ordering::Relaxed) - before.0;
    let read_now = read.load(Ordering::Relaxed) - before.1;
    tasks.shutdown().await;
    Ok(Rates {
        delivered: delivered_now as f64 / seconds,
        read: read_now as f64 / seconds,
        worked: worked.map(|worked| worked / delivered_now as f64),
    })
}
