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
    let connect = || async_nats::connect(options.nats.clone());
    let Ok(Ok(client)) = tokio::time::timeout(CONNECT, connect()).await else {
        report.note(format!("JetStream was left out: nothing answers at {}", options.nats));
        return Ok(());
    };
    let context = jetstream::new(client);
    let _ = context.delete_stream(STREAM).await;
    let config = stream::Config {
        name: STREAM.into(),
        subjects: vec![format!("{STREAM}.*")],
        storage: stream::StorageType::File,
        retention: stream::RetentionPolicy::WorkQueue,
        ..Default::default()
    };
    let stream = match context.create_stream(config).await {
        Ok(stream) => stream,
        Err(error) => {
            report.note(format!("JetStream was left out: {error}"));
            return Ok(());
        }
    };
    let result = load(options, &stream, report).await;
    context.delete_stream(STREAM).await?;
    result
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
        let context = jetstream::new(async_nats::connect(&options.nats).await?);
        for _ in 0..options.window {
            let (context, subject, text) = (context.clone(), subject.clone(), options.text());
            tasks.spawn(async move {
                loop {
                    context.publish(subject.clone(), text.clone().into()).await?.await?;
                }
            });
        }
    }
    tokio::select! {
        () = tokio::time::sleep(WARM_UP) => {}
        Some(ended) = tasks.join_next() => return ended?,
    }
    let (before, started) = (received.load(Ordering::Relaxed), Instant::now());
    tokio::select! {
        () = tokio::time::sleep(options.seconds()) => {}
        Some(ended) = tasks.join_next() => return ended?,
    }
    let rate = (received.load(Ordering::Relaxed) - before) as f64 / started.elapsed().as_secs_f64();
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
