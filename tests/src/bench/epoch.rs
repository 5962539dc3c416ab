//! A mesh of many devices: one is removed, and the next post waits for a new epoch that is wrapped to all others.

use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, OpenFlags};

use crate::Fallible;
use crate::options::Options;
use crate::report::{Report, quantile};
use crate::town::Town;

const TOPIC: &str = "many";
const ROUNDS: usize = 5;

pub(crate) async fn measure(options: &Options, folder: &Path, report: &mut Report) -> Fallible<()> {
    let town = Town::found(folder.join("epoch"), options.devices + ROUNDS).await?;
    let topic = town.owner.topic(TOPIC);
    // The owner's home is one of the devices that stay.
    for n in 1..options.devices + ROUNDS {
        town.join_in_memory(&format!("member-{n}")).await?.close().await?;
    }
    town.owner.create_topic(TOPIC).await?;
    let (mut plain, mut rotating) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let posted_at = Instant::now();
        topic.post("before").await?;
        plain.push(posted_at.elapsed());
        town.owner.remove_member(&format!("member-{}", options.devices + round)).await?;
        let posted_at = Instant::now();
        topic.post("after").await?;
        rotating.push(posted_at.elapsed());
    }
    let folder = town.broker_folder();
    town.close(Vec::new()).await?;
    let db = Connection::open_with_flags(folder.join("broker.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let largest: i64 = db.query_row("SELECT MAX(LENGTH(entry)) FROM log_entries", [], |row| row.get(0))?;
    report.plain("post to a topic, p50", quantile(&mut plain, 0.5), "ms");
    let what = format!("post that rotates the epoch for {} devices, p50", options.devices);
    report.at_most(&what, quantile(&mut rotating, 0.5), "ms", 150.0);
    report.at_most("its commit", largest as f64 / 1024.0, "KiB", 64.0);
    Ok(())
}
