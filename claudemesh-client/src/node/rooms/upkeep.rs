//! What a running mesh does for its rooms without being asked: shutting out those who left private topics, erasing posts past
//! their time, compacting logs.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use claudemesh_core::record::TopicRole;
use claudemesh_core::session::{Command, Session};
use claudemesh_core::{LogId, MemberId};
use tokio::sync::watch;

use crate::error::{Error, ErrorKind};
use crate::node::Active;
use crate::store::view::topic;
use crate::store::{self, Store, db_error};

/// The longest pause between two looks for posts past their time.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Begins with a mesh and ends with its driver.
pub(in crate::node) fn start(store: &Store, mesh: &Arc<Active>) {
    let Some(handle) = &mesh.handle else { return };
    let members = handle.shared.members.subscribe();
    tokio::spawn(super::compact::now_and_then(store.clone(), Arc::downgrade(mesh), members.clone()));
    tokio::spawn(watch_members(store.clone(), Arc::downgrade(mesh), members));
}

async fn watch_members(store: Store, mesh: Weak<Active>, mut members: watch::Receiver<u64>) {
    loop {
        members.mark_unchanged();
        let Some(active) = mesh.upgrade() else { return };
        if let Err(error) = note_leavers(&store, &active).await {
            tracing::warn!(mesh = %active.id.short(), kind = error.kind().code(), "members of topics are unknown");
        }
        drop(active);
        if members.changed().await.is_err() {
            return;
        }
    }
}

/// Erases posts past the time their topics keep them: at once when a topic says so, and then now and again.
pub(in crate::node) async fn erase_posts(store: Store) {
    let changed = Arc::clone(&store.retention);
    loop {
        let pause = match store.erase_posts(store::now_ms().unsigned_abs()).await {
            Ok(shortest) => shortest.map_or(LONGEST_PAUSE, |seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE)),
            Err(error) if error.kind() == ErrorKind::Internal => return,
            Err(_) => LONGEST_PAUSE,
        };
        let _ = tokio::time::timeout(pause, changed.notified()).await;
    }
}

/// A private log and what of it decides who has left it.
struct Private {
    log: LogId,
    audience: BTreeSet<MemberId>,
    leavers: BTreeSet<MemberId>,
    own: MemberId,
}

/// The private logs that can be read here from their start: only there it is certain who has left.
fn private_logs(session: &Session) -> Vec<Private> {
    let whole = session.logs().filter(|log| session.log_size(log).is_some_and(|(_, sealed)| sealed == 0));
    let private = whole.filter_map(|log| {
        let (audience, leavers) = (session.log_audience(&log)?, session.log_leavers(&log).collect());
        Some(Private { log, audience, leavers, own: session.member() })
    });
    private.collect()
}

/// Tells the session who left which private topic and can read it still.
async fn note_leavers(store: &Store, mesh: &Active) -> Result<(), Error> {
    let handle = mesh.handle()?;
    let row = mesh.store_row;
    for Private { log, audience, leavers, own } in handle.look(private_logs).await? {
        let (left, members) = store
            .run(move |state| {
                let Some(room) = store::log::row(&state.db, row, &log).map_err(db_error)? else {
                    return Ok(Default::default());
                };
                let left = topic::left(&state.db, room).map_err(db_error)?;
                Ok((left, topic::members(&state.db, room).map_err(db_error)?))
            })
            .await?;
        let now: BTreeSet<MemberId> = left.into_iter().filter(|member| audience.contains(member)).collect();
        if now != leavers && !now.contains(&own) {
            let leads = members.contains(&(own, TopicRole::Lead));
            handle.command(Command::LeaversOfLog { log, members: now, leads }).await?;
        }
    }
    Ok(())
}
