//! A long topic: filling an empty store with it, opening a home that holds it, searching it, counting what is unread.

use std::path::Path;
use std::time::{Duration, Instant};

use claudemesh_client::{Mesh, api};
use futures_util::stream::{self, TryStreamExt};

use crate::Fallible;
use crate::options::Options;
use crate::report::{Report, quantile};
use crate::town::Town;

const TOPIC: &str = "long";
/// Questions of each kind.
const PROBES: usize = 200;
/// How often the filling is looked at.
const LOOK: Duration = Duration::from_millis(5);
const WORDS: [&str; 16] = [
    "build", "green", "deploy", "staging", "cache", "index", "broker", "ledger", "parser", "socket", "retry", "window",
    "cursor", "merge", "review", "rollback",
];

pub(crate) async fn measure(options: &Options, folder: &Path, report: &mut Report) -> Fallible<()> {
    let town = Town::found(folder.join("history"), 1).await?;
    town.owner.create_topic(TOPIC).await?;
    let texts = (0..options.history).map(|n| Ok(text(n, options.size)));
    let write = |text: String| async { town.owner.topic(TOPIC).post(text).await.map(drop) };
    stream::iter(texts).try_for_each_concurrent(options.posts, write).await?;
    let newcomer = town.join("newcomer").await?;
    let took = fill(&newcomer, options.history).await?;
    let rate = options.history as f64 / took.as_secs_f64();
    let what = format!("back-fill: {} posts into an empty store", options.history);
    report.at_least(&what, rate, "posts/s", 20_000.0);
    newcomer.close().await?;
    let opened_at = Instant::now();
    let newcomer = Mesh::builder().home(town.home("newcomer")).embedded().open().await?;
    let latest = newcomer.topic(TOPIC).history().await?;
    let what = format!("open a home with {} posts, to the latest 50", options.history);
    report.at_most(&what, opened_at.elapsed().as_secs_f64() * 1000.0, "ms", 300.0);
    if latest.posts.is_empty() {
        return Err("the topic came back empty".into());
    }
    let (mut searches, mut counts) = (Vec::new(), Vec::new());
    for n in 0..PROBES {
        let wanted = format!("{} {}", WORDS[n % WORDS.len()], number(n * 97 % options.history));
        let asked_at = Instant::now();
        newcomer.search(wanted).topic(TOPIC).await?;
        searches.push(asked_at.elapsed());
        let asked_at = Instant::now();
        let unread = newcomer.topics().await?.iter().map(|topic| topic.unread).sum::<u64>();
        counts.push(asked_at.elapsed());
        if unread != options.history as u64 {
            return Err(format!("{unread} posts are unread").into());
        }
    }
    let mut broad = Vec::new();
    for n in 0..PROBES / 10 {
        let asked_at = Instant::now();
        newcomer.search(WORDS[n % WORDS.len()]).topic(TOPIC).await?;
        broad.push(asked_at.elapsed());
    }
    report.at_most("search for two words, p50", quantile(&mut searches, 0.5), "ms", 20.0);
    report.plain("search for a word that a third of them have, p50", quantile(&mut broad, 0.5), "ms");
    report.at_most("unread of all topics, p50", quantile(&mut counts, 0.5), "ms", 5.0);
    town.close(vec![newcomer]).await
}

/// Joins the topic; how long until all its posts are there to be read.
async fn fill(newcomer: &Mesh, posts: usize) -> Fallible<Duration> {
    let topic = newcomer.topic(TOPIC);
    let started = Instant::now();
    topic.join().await?;
    loop {
        let api::Topic { unread, .. } =
            newcomer.topics().await?.into_iter().find(|it| it.name == TOPIC).ok_or("no topic")?;
        if unread >= posts as u64 {
            return Ok(started.elapsed());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn number(n: usize) -> String {
    format!("n{n}")
}

/// A post of this size: words of a small vocabulary, and a number of its own.
fn text(n: usize, size: usize) -> String {
    let mut text = number(n);
    let mut at = n;
    while text.len() < size {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(' ');
        text.push_str(WORDS[at >> 33 & (WORDS.len() - 1)]);
    }
    text
}
