//! What a running mesh does for its rooms without being asked: who is in a private topic reads it and who left it does not,
//! posts past their time are erased, logs compacted.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use claudemesh_core::record::TopicRole;
use claudemesh_core::session::{Command, LogPolicy, Session};
use claudemesh_core::{LogId, MemberId};
use rand_core::Rng as _;
use tokio::sync::watch;

use crate::error::{Error, ErrorKind};
use crate::node::Active;
use crate::node::driver::rng;
use crate::store::view::topic;
use crate::store::{self, Store, db_error};

/// How long, up to twice this, a member that the audience of its topic has not waits for one of the leads to let it in.
const LET_IN: Duration = Duration::from_secs(1);
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
        let dropped = match note_members(&store, &active).await {
            Ok(dropped) => dropped,
            Err(error) => {
                tracing::warn!(mesh = %active.id.short(), kind = error.kind().code(), "members of topics are unknown");
                Vec::new()
            }
        };
        drop(active);
        let changed = if dropped.is_empty() {
            Some(members.changed().await)
        } else {
            // One of the leads is the first, and the others see it done.
            let turn = LET_IN + Duration::from_millis(u64::from(rng().next_u32()) % LET_IN.as_millis() as u64);
            tokio::time::timeout(turn, members.changed()).await.ok()
        };
        match changed {
            Some(Ok(())) => {}
            Some(Err(_)) => return,
            None => {
                let Some(active) = mesh.upgrade() else { return };
                let_in(&active, dropped).await;
                drop(active);
                if members.changed().await.is_err() {
                    return;
                }
            }
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

/// A private log and what of it decides who reads it.
struct Private {
    log: LogId,
    audience: BTreeSet<MemberId>,
    leavers: BTreeSet<MemberId>,
    own: MemberId,
}

/// Members of a private log whom its audience has not, and the audience it is to have.
struct Dropped {
    log: LogId,
    members: Vec<MemberId>,
    audience: BTreeSet<MemberId>,
}

/// The private logs that can be read here from their start: only there it is certain who is in them.
fn private_logs(session: &Session) -> Vec<Private> {
    let whole = session.logs().filter(|log| session.log_size(log).is_some_and(|(_, sealed)| sealed == 0));
    let private = whole.filter_map(|log| {
        let (audience, leavers) = (session.log_audience(&log)?, session.log_leavers(&log).collect());
        Some(Private { log, audience, leavers, own: session.member() })
    });
    private.collect()
}

/// Tells the session who left which private topic and can read it still. Those that are in a topic this device leads and
/// cannot read it: of two leads that changed the audience at once, one did not see what the other did.
async fn note_members(store: &Store, mesh: &Active) -> Result<Vec<Dropped>, Error> {
    let handle = mesh.handle()?;
    let row = mesh.store_row;
    let mut dropped = Vec::new();
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
        let leads = members.contains(&(own, TopicRole::Lead));
        if now != leavers && !now.contains(&own) {
            handle.command(Command::LeaversOfLog { log, members: now.clone(), leads }).await?;
        }
        if leads && audience.contains(&own) {
            let without: Vec<MemberId> =
                members.into_iter().map(|(member, _)| member).filter(|member| !audience.contains(member)).collect();
            let live = move |session: &Session| {
                let live = |id: &MemberId| session.roster().member(id).is_some_and(|member| member.is_live());
                without.into_iter().filter(live).collect::<Vec<_>>()
            };
            let members = handle.look(live).await?;
            if !members.is_empty() {
                let stay = audience.into_iter().filter(|member| !now.contains(member));
                dropped.push(Dropped { log, audience: stay.chain(members.iter().copied()).collect(), members });
            }
        }
    }
    Ok(dropped)
}

/// Lets members read the private topics they are in.
async fn let_in(mesh: &Active, dropped: Vec<Dropped>) {
    let Ok(handle) = mesh.handle() else { return };
    for Dropped { log, members, audience } in dropped {
        let Ok(history) = handle.look(move |session| session.log_history(&log)).await else { return };
        let policy = LogPolicy { history, audience: Some(audience) };
        for command in [Command::OpenLog { log, policy }, Command::InviteToLog { log, members }] {
            if let Err(error) = handle.command(command).await {
                tracing::warn!(mesh = %mesh.id.short(), kind = error.kind().code(), "a member was not let in");
                return;
            }
        }
    }
}
