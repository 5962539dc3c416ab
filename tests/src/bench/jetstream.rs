//! The same load over NATS JetStream: a stream in files, publishers that wait for their acks, consumers that ack.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, AckKind, consumer, stream};
use futures_util::StreamExt;
use tokio::task::JoinSet;

use crate::Fallible;
use crate::options::{Options, Part};
use crate::report::{Report, quantile};

const STREAM: &str = "claudemesh-bench";
const CONNECT: Duration = Duration::from_secs(1);
const WARM_UP: Duration = Duration::from_secs(1);
const PROBES: usize = 2_000;

pub(crate) async fn measure(options: &Options, report: &mut Report) -> Fallible<()> {
    let Some((context, stream)) = open(options, stream::RetentionPolicy::WorkQueue, report).await? else {
        return Ok(());
    };
    let result = load(options, &stream, report).await;
    context.delete_stream(STREAM).await?;
    result
}

/// A stream of our own, in files; none when no server can make it.
async fn open(
    options: &Options,
    retention: stream::RetentionPolicy,
    report: &mut Report,
) -> Fallible<Option<(jetstream::Context, stream::Stream)>> {
    let connect = || async_nats::connect(options.nats.clone());
    let Ok(Ok(client)) = tokio::time::timeout(CONNECT, connect()).await else {
        report.note(format!("JetStream was left out: nothing answers at {}", options.nats));
        return Ok(None);
    };
    let context = jetstream::new(client);
    let _ = context.delete_stream(STREAM).await;
    let config = stream::Config {
        name: STREAM.into(),
        subjects: vec![format!("{STREAM}.*")],
        storage: stream::StorageType::File,
        retention,
        ..Default::default()
    };
    match context.create_stream(config).await {
        Ok(stream) => Ok(Some((context, stream))),
        Err(error) => {
            report.note(format!("JetStream was left out: {error}"));
            Ok(None)
        }
    }
}

/// One publisher with a window of acks and ordered consumers with connections of their own: messages read per second, by
/// all together.
pub(crate) async fn tailing(options: &Options, readers: usize, report: &mut Report) -> Fallible<Option<f64>> {
    let Some((context, stream)) = open(options, stream::RetentionPolicy::Limits, report).await? else {
        return Ok(None);
    };
    let read = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::<Fallible<()>>::new();
    for _ in 0..readers {
        let context = jetstream::new(async_nats::connect(&options.nats).await?);
        let ordered =
            context.get_stream(STREAM).await?.create_consumer(consumer::pull::OrderedConfig::default()).await?;
        let (mut messages, count) = (ordered.messages().await?, read.clone());
        tasks.spawn(async move {
            while let Some(message) = messages.next().await {
                message?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Err("the consumer ended".into())
        });
    }
    publish(options, 0, options.posts, &mut tasks).await?;
    let rate = count_for(options, &read, &mut tasks).await?;
    tasks.shutdown().await;
    let what = format!("JetStream: 1 publisher, {readers} ordered consumers, {} B: messages read", options.size);
    report.plain(&what, rate, "messages/s");
    drop(stream);
    context.delete_stream(STREAM).await?;
    Ok(Some(rate))
}

/// Publishers to one subject over one connection, each waiting for its ack.
async fn publish(options: &Options, subject: usize, window: usize, tasks: &mut JoinSet<Fallible<()>>) -> Fallible<()> {
    let context = jetstream::new(async_nats::connect(&options.nats).await?);
    let subject = format!("{STREAM}.{subject}");
    for _ in 0..window {
        let (context, subject, text) = (context.clone(), subject.clone(), options.text());
        tasks.spawn(async move {
            loop {
                context.publish(subject.clone(), text.clone().into()).await?.await?;
            }
        });
    }
    Ok(())
}

/// What is counted per second, after a while.
async fn count_for(options: &Options, count: &AtomicU64, tasks: &mut JoinSet<Fallible<()>>) -> Fallible<f64> {
    tokio::select! {
        () = tokio::time::sleep(WARM_UP) => {}
        Some(ended) = tasks.join_next() => ended??,
    }
    let (before, started) = (count.load(Ordering::Relaxed), Instant::now());
    tokio::select! {
        () = tokio::time::sleep(options.seconds()) => {}
        Some(ended) = tasks.join_next() => ended??,
    }
    Ok((count.load(Ordering::Relaxed) - before) as f64 / started.elapsed().as_secs_f64())
}

async fn load(options: &Options, stream: &stream::Stream, report: &mut Report) -> Fallible<()> {
    if options.wants(Part::Latency) {
        latency(options, stream, report).await?;
    }
    let received = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::<Fallible<()>>::new();
    for pair in 0..options.pairs {
        let subject = format!("{STREAM}.{pair}");
        let mut messages = consumer(stream, &subject).await?.messages().await?;
        let count = received.clone();
        tasks.spawn(async move {
            while let Some(message) = messages.next().await {
                message?.ack().await?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Err("the consumer ended".into())
        });
        publish(options, pair, options.window, &mut tasks).await?;
    }
    let rate = count_for(options, &received, &mut tasks).await?;
    let what = format!("JetStream: {} pairs, window {}, {} B", options.pairs, options.window, options.size);
    report.plain(&what, rate, "messages/s");
    report.note("JetStream acknowledges before its fsync unless the server is told otherwise, and does not encrypt.");
    tasks.shutdown().await;
    Ok(())
}

async fn consumer(stream: &stream::Stream, subject: &str) -> Fallible<consumer::PullConsumer> {
    let config = consumer::pull::Config {
        ack_policy: consumer::AckPolicy::Explicit,
        filter_subject: subject.to_owned(),
        ..Default::default()
    };
    Ok(stream.create_consumer(config).await?)
}

/// One message at a time: published, at the consumer, and the consumer's ack confirmed.
async fn latency(options: &Options, stream: &stream::Stream, report: &mut Report) -> Fallible<()> {
    let subject = format!("{STREAM}.probe");
    let mut messages = consumer(stream, &subject).await?.messages().await?;
    let context = jetstream::new(async_nats::connect(&options.nats).await?);
    let end = Instant::now() + options.seconds();
    let mut times = Vec::new();
    while Instant::now() < end && times.len() < PROBES {
        let sent_at = Instant::now();
        let published = context.publish(subject.clone(), options.text().into()).await?;
        let message = messages.next().await.ok_or("the consumer ended")??;
        message.double_ack_with(AckKind::Ack).await?;
        times.push(sent_at.elapsed());
        published.await?;
    }
    report.plain("JetStream, 1 to 1: publish to confirmed ack, p50", quantile(&mut times, 0.5), "ms");
    report.plain("JetStream, 1 to 1: publish to confirmed ack, p99", quantile(&mut times, 0.99), "ms");
    Ok(())
}
