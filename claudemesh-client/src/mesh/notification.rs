//! Notifications: what asks for this member's attention.

use std::future::IntoFuture;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Mesh;
use crate::api;
use crate::error::Error;

/// Mentions, replies, tasks and topics that ask for this member's attention.
///
/// ```
/// # let far_end = claudemesh_client::testing::Fake::new("team", "alice");
/// # far_end.add_member("bob");
/// # far_end.run(async |mesh| {
/// # far_end.post_from("bob", "general", "look at this, @alice")?;
/// let notifications = mesh.notifications();
/// for one in notifications.list().await? {
///     println!("{} by {}: {}", one.kind, one.from.name, one.text);
///     notifications.mark_read([one.id]).await?;
/// }
/// # assert!(notifications.list().await?.is_empty());
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Notifications {
    mesh: Mesh,
}

impl Notifications {
    pub(super) fn new(mesh: Mesh) -> Self {
        Self { mesh }
    }

    /// What was not marked read, latest first. Await the result, or widen it first.
    pub fn list(&self) -> ListNotifications {
        ListNotifications { mesh: self.mesh.clone(), request: api::NotificationQuery::default() }
    }

    /// Marks some read; returns how many were not before.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] for an id that is none.
    pub async fn mark_read(&self, ids: impl IntoIterator<Item = String>) -> Result<u64, Error> {
        let ids: Vec<String> = ids.into_iter().collect();
        // No numbers mean all of them to the call.
        if ids.is_empty() { Ok(0) } else { self.read(ids).await }
    }

    /// Marks all of them read; returns how many were not before.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when the mesh is gone.
    pub async fn mark_all_read(&self) -> Result<u64, Error> {
        self.read(Vec::new()).await
    }

    async fn read(&self, ids: Vec<String>) -> Result<u64, Error> {
        let request = api::NotificationRead { ids };
        Ok(self.mesh.calls().notification_read(self.mesh.selected(), request).await?.marked)
    }
}

/// A look at the notifications, taken when this is awaited.
///
/// # Errors
/// Awaited: [`crate::ErrorKind::NotFound`] when the mesh is gone.
#[derive(Debug)]
#[must_use = "notifications are listed when this is awaited"]
pub struct ListNotifications {
    mesh: Mesh,
    request: api::NotificationQuery,
}

impl ListNotifications {
    /// Those marked read, too.
    pub fn all(mut self) -> Self {
        self.request.all = true;
        self
    }

    /// At most so many, 1000 at most. Default: 50.
    pub fn limit(mut self, limit: u32) -> Self {
        self.request.limit = Some(limit);
        self
    }
}

asks!(ListNotifications.notifications -> Vec<api::Notification>, notifications);
