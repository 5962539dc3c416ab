//! Deleting what is past its retention.

use super::view::retention;
use super::{Store, db_error};
use crate::error::Error;

impl Store {
    /// Erases posts past the time their topics keep them. In how many seconds to look again at the latest, as far as
    /// topics say.
    pub(crate) async fn erase_posts(&self, now_ms: u64) -> Result<Option<u64>, Error> {
        loop {
            // Other commits come in between.
            let erased = self.run(move |store| {
                let tx = store.db.transaction().map_err(db_error)?;
                let more = retention::sweep(&tx, now_ms).map_err(db_error)?;
                tx.commit().map_err(db_error)?;
                if more { Ok(None) } else { retention::shortest(&store.db).map(Some).map_err(db_error) }
            });
            if let Some(shortest) = erased.await? {
                return Ok(shortest);
            }
        }
    }

    /// Deletes what is past its retention: read messages and their events, finished messages, old fingerprints.
    pub(crate) async fn sweep(&self, now_ms: i64) -> Result<(), Error> {
        const DAY: i64 = 24 * 3600 * 1000;
        self.run(move |store| {
            let old = now_ms - 90 * DAY;
            let tx = store.db.transaction().map_err(db_error)?;
            for sql in [
                "DELETE FROM sent WHERE at < ?1 AND state >= 3",
                "DELETE FROM event WHERE kind = 1 AND ref IN (SELECT row FROM inbox WHERE read_at < ?1)",
                "DELETE FROM inbox WHERE read_at < ?1",
                "DELETE FROM handing WHERE inbox NOT IN (SELECT row FROM inbox) AND ?1 > 0",
                "DELETE FROM fingerprint WHERE (mesh, id) NOT IN (SELECT mesh, id FROM sent) AND ?1 > 0",
            ] {
                tx.execute(sql, [old]).map_err(db_error)?;
            }
            super::view::notification::sweep(&tx, old).map_err(db_error)?;
            super::request::sweep(&tx, now_ms).map_err(db_error)?;
            tx.execute(
                "DELETE FROM event WHERE kind <> 1
                 AND position < (SELECT position FROM event ORDER BY position DESC LIMIT 1 OFFSET 100000)",
                [],
            )
            .map_err(db_error)?;
            tx.commit().map_err(db_error)
        })
        .await
    }
}
