//! Dropping from logs what nobody needs any more: by request, and by an admin's node now and then.

use std::sync::Weak;
use std::time::Duration;

use claudemesh_core::LogId;
use claudemesh_core::wire::ErrorCode;
use tokio::sync::{oneshot, watch};

use super::{PATIENCE, pending, refused};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::node::driver::{Order, now, rng};
use crate::node::{Active, Node, wait_ready};
use crate::rooms;
use crate::store::view::compact::Survey;
use crate::store::view::retention;
use crate::store::{self, Store, db_error};

/// How often a compaction is decided anew because the log has grown meanwhile.
const TRIES: u32 = 5;
/// The least time between two rounds over all logs; the most is three times as long.
const ROUND: Duration = Duration::from_secs(12 * 3600);
/// The least time before the first round; the most is three times as long.
const FIRST_ROUND: Duration = Duration::from_secs(20 * 60);
/// Entries that are worth one more that names them.
const WORTH: usize = 8;

impl Node {
    pub(super) async fn compact_room(&self, mesh: &Active, request: api::Compact) -> Result<api::Compacted, Error> {
        wait_ready(self.live(mesh).await?).await?;
        mesh.catch_up().await;
        let question = move |db: &_, ground: &rooms::Ground| {
            Ok((ground.is_admin, ground.place(db, request.topic.as_deref())?.log))
        };
        let (is_admin, log) = self.ask(mesh, question).await?;
        if !is_admin {
            return Err(Error::new(ErrorKind::Refused, "only admins and owners compact").with_hint("ask one of them"));
        }
        compact(&self.store, mesh, log, Some(1)).await.map(|dropped| api::Compacted { dropped })
    }
}

/// Compacts the logs of a mesh of which this home is admin or owner, from time to time: at random, so that not all admins do.
pub(super) async fn now_and_then(store: Store, mesh: Weak<Active>, mut ended: watch::Receiver<u64>) {
    let mut least = FIRST_ROUND;
    loop {
        let pause = least + least.mul_f64(f64::from(rand_core::Rng::next_u32(&mut rng())) / f64::from(u32::MAX) * 2.0);
        if tokio::time::timeout(pause, ended.wait_for(|_| false)).await.is_ok() {
            return;
        }
        least = ROUND;
        let Some(mesh) = mesh.upgrade() else { return };
        let Ok(ground) = Node::ground(&mesh).await else { continue };
        let Ok(logs) = mesh.look(|session, _| session.logs().collect::<Vec<_>>()).await else { continue };
        for log in logs.into_iter().filter(|_| ground.is_admin) {
            if let Err(error) = compact(&store, &mesh, log, None).await {
                tracing::debug!(mesh = %mesh.id.short(), kind = error.kind().code(), "a log was not compacted");
            }
        }
    }
}

/// Drops what can be dropped, if there are so many entries of it; by itself, when that is worth it. How many there were.
async fn compact(store: &Store, mesh: &Active, log: LogId, least: Option<usize>) -> Result<u64, Error> {
    let handle = mesh.handle()?;
    let (mut dropped, mut tries) = (0, 0);
    loop {
        let (tail, sealed) = handle.look(move |session| session.log_size(&log)).await?.unwrap_or_default();
        if sealed > 0 {
            return Err(incomplete());
        }
        let (offsets, retention) = survey(store, mesh.store_row, log).await?;
        let least = least.unwrap_or(if retention { 1 } else { WORTH });
        if offsets.len() < least {
            return Ok(dropped);
        }
        let count = offsets.len() as u64;
        let (done, written) = oneshot::channel();
        handle.order(Order::Compact { log, offsets, tail, done }).await?;
        match tokio::time::timeout(PATIENCE, written).await {
            Ok(Ok(Ok(_))) => dropped += count,
            // Somebody wrote meanwhile, perhaps something for which an old entry counts.
            Ok(Ok(Err(ErrorCode::OffsetMoved | ErrorCode::StaleEpoch))) if tries < TRIES => tries += 1,
            Ok(Ok(Err(ErrorCode::OffsetMoved | ErrorCode::StaleEpoch))) => {
                return Err(Error::new(ErrorKind::Conflict, "others write there all the time")
                    .with_hint("try again when it is quiet"));
            }
            Ok(Ok(Err(code))) => return Err(refused(code)),
            Ok(Err(_)) | Err(_) => return Err(pending(None)),
        }
    }
}

fn incomplete() -> Error {
    Error::new(ErrorKind::Refused, "older parts of this cannot be read here yet, and they decide what may go")
        .with_hint("a member who has their key hands it on when it is online; try again then")
}

/// What of a log can go, and whether its posts have their time.
async fn survey(store: &Store, mesh: i64, log: LogId) -> Result<(Vec<u64>, bool), Error> {
    let room = store.run(move |state| store::log::row(&state.db, mesh, &log).map_err(db_error)).await?;
    let Some(room) = room else { return Ok((Vec::new(), false)) };
    let mut survey = Survey::default();
    loop {
        // A page at a time: others wait for the store.
        let more;
        (survey, more) = store
            .run(move |state| {
                let more = survey.page(&state.db, room).map_err(db_error)?;
                Ok((survey, more))
            })
            .await?;
        if !more {
            break;
        }
    }
    let now = now().0;
    store
        .run(move |state| {
            let keeps = retention::of(&state.db, room).map_err(db_error)?.is_some();
            Ok((survey.plan(&state.db, room, now).map_err(db_error)?, keeps))
        })
        .await
}
