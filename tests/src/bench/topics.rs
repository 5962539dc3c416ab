//! A topic with one writer and few or many readers, every store on disk; and shared state, changed and watched.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use claudemesh_client::Event;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Fallible;
use crate::options::Options;
use crate::report::{Report, quantile};
use crate::system::processor_time;
use crate::town::Town;

const TOPIC: &str = "bench";
/// What is written before the clock starts.
const WARM_UP: Duration = Duration::from_secs(1);
/// Gets, changes or messages of one latency measurement.
const PROBES: usize = 500;

pub(crate) async fn measure(options: &Options, folder: &Path, report: &mut Report) -> Fallible<()> {
    let crowd = (options.readers > 1).then_some((options.readers, 0.3));
    for (readers, floor) in [Some((1, 0.5)), crowd].into_iter().flatten() {
        let ours = tailing(options, folder, readers, report).await?;
        #[cfg(feature = "jetstream")]
        if let Some(theirs) = crate::jetstream::tailing(options, readers, report).await? {
            let what = format!("of JetStream: 1 writer, {readers} readers");
            report.at_least(&what, ours / theirs, "×", floor);
        }
        #[cfg(not(feature = "jetstream"))]
        let _ = (ours, floor);
    }
    state(folder, report).await
}

/// Posts read per second, by all readers together.
async fn tailing(options: &Options, folder: &Path, readers: usize, report: &mut Report) -> Fallible<f64> {
    let town = Town::found(folder.join(format!("topic-{readers}")), readers).await?;
    town.owner.create_topic(TOPIC).await?;
    let read = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::<Fallible<()>>::new();
    let mut meshes = Vec::with_capacity(readers);
    for n in 0..readers {
        let mesh = town.join(&format!("reader-{n}")).await?;
        mesh.topic(TOPIC).join().await?;
        let mut posts = mesh.topic(TOPIC).tail().await?;
        let count = read.clone();
        tasks.spawn(async move {
            while let Some(post) = posts.next().await {
                post?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Err("the reader's tail ended".into())
        });
        meshes.push(mesh);
    }
    for _ in 0..options.posts {
        let (topic, text) = (town.owner.topic(TOPIC), options.text());
        tasks.spawn(async move {
            loop {
                topic.post(&text).await?;
            }
        });
    }
    let wait = async |time, tasks: &mut JoinSet<Fallible<()>>| {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            Some(ended) = tasks.join_next() => ended?,
        }
    };
    wait(WARM_UP, &mut tasks).await?;
    let worked = processor_time();
    let (before, started) = (read.load(Ordering::Relaxed), Instant::now());
    wait(options.seconds(), &mut tasks).await?;
    let count = (read.load(Ordering::Relaxed) - before) as f64;
    let rate = count / started.elapsed().as_secs_f64();
    let worked = processor_time().zip(worked).map(|(after, before)| after - before);
    tasks.shutdown().await;
    let what = format!("topic, 1 writer, {readers} readers, {} B: posts read", options.size);
    report.plain(&what, rate, "posts/s");
    if let Some(worked) = worked {
        report.plain("processor time of writer, broker and readers", worked / count, "µs/post");
    }
    town.close(meshes).await?;
    Ok(rate)
}

/// A key read here, and one changed there and seen by a watch here; beside a direct message between the same two.
async fn state(folder: &Path, report: &mut Report) -> Fallible<()> {
    let town = Town::found(folder.join("state"), 1).await?;
    let peer = town.join("peer").await?;
    let (seen, mut arrivals) = mpsc::unbounded_channel();
    let mut readers = JoinSet::new();
    let (mut events, arrived) = (peer.events().await?, seen.clone());
    readers.spawn(async move {
        while let Some(Ok(delivered)) = events.next().await {
            if matches!(delivered.event, Event::Message(_)) && arrived.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    let mut changes = peer.state().watch(None).await?;
    readers.spawn(async move {
        while let Some(Ok(_)) = changes.next().await {
            if seen.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    let (mut messages, mut sets, mut gets) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..PROBES {
        let sent_at = Instant::now();
        town.owner.send("peer", "probe").await?;
        messages.push(arrivals.recv().await.ok_or("the peer's feed ended")? - sent_at);
        let set_at = Instant::now();
        town.owner.state().set("probe", n).await?;
        sets.push(arrivals.recv().await.ok_or("the peer's watch ended")? - set_at);
        let asked_at = Instant::now();
        let _: usize = peer.state().get("probe").await?;
        gets.push(asked_at.elapsed());
    }
    readers.shutdown().await;
    let direct = quantile(&mut messages, 0.5);
    report.at_most("state: get from the own copy, p50", quantile(&mut gets, 0.5) * 1000.0, "µs", 100.0);
    report.plain("message to an idle peer's program, p50", direct, "ms");
    report.at_most("state: set, seen by a peer's watch, p50", quantile(&mut sets, 0.5), "ms", 2.0 * direct);
    town.close(vec![peer]).await
}
