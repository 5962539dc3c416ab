//! Groups: labels on members, by which several are addressed at once.

use std::future::IntoFuture;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Mesh;
use crate::api;
use crate::error::Error;

/// The groups of a mesh. A message to `@backend` goes to the members of `backend` and of every group below it.
///
/// ```
/// # let far_end = claudemesh_client::testing::Fake::new("team", "alice");
/// # far_end.add_member("bob");
/// # far_end.run(async |mesh| {
/// mesh.groups().join("backend/api").role("reviewer").await?;
/// mesh.groups().join("backend").member("bob").await?;
/// mesh.send("@backend", "the schema has changed").await?;
/// # assert_eq!(far_end.sent_texts(), ["the schema has changed"]);
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Groups {
    mesh: Mesh,
}

impl Groups {
    pub(super) fn new(mesh: Mesh) -> Self {
        Self { mesh }
    }

    /// Joins a group; it exists as long as somebody is in it. Await the result, or set more first.
    pub fn join(&self, group: impl Into<String>) -> JoinGroup {
        let request = api::GroupChange { group: group.into(), ..Default::default() };
        JoinGroup { mesh: self.mesh.clone(), request }
    }

    /// Leaves a group. Await the result, or name another member first.
    pub fn leave(&self, group: impl Into<String>) -> LeaveGroup {
        let request = api::GroupChange { group: group.into(), ..Default::default() };
        LeaveGroup { mesh: self.mesh.clone(), request }
    }

    /// A group and those below it, or all groups, with their members.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] for a text that is no group, [`crate::ErrorKind::NotFound`] when the mesh is gone.
    pub async fn list(&self, group: impl Into<Option<&str>>) -> Result<Vec<api::Group>, Error> {
        let request = api::GroupQuery { group: group.into().map(str::to_owned) };
        Ok(self.mesh.calls().groups(self.mesh.selected(), request).await?.groups)
    }
}

/// A group is joined when this is awaited.
///
/// # Errors
/// Awaited: [`crate::ErrorKind::Usage`] for a bad group or role, [`crate::ErrorKind::Refused`] for another member
/// without the rank for it, [`crate::ErrorKind::NotFound`] or [`crate::ErrorKind::Ambiguous`] for the member,
/// [`crate::ErrorKind::Unreachable`] without the broker.
#[derive(Debug)]
#[must_use = "a group is joined when this is awaited"]
pub struct JoinGroup {
    mesh: Mesh,
    request: api::GroupChange,
}

impl JoinGroup {
    /// What the member does there, 64 bytes at most.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.request.role = Some(role.into());
        self
    }

    /// Puts another member into it, by name or key prefix; admins only.
    pub fn member(mut self, member: impl Into<String>) -> Self {
        self.request.member = Some(member.into());
        self
    }
}

asks!(JoinGroup.group_join -> api::Group);

/// A group is left when this is awaited.
///
/// # Errors
/// Awaited: as [`JoinGroup`]; [`crate::ErrorKind::NotFound`] when the member is not in it.
#[derive(Debug)]
#[must_use = "a group is left when this is awaited"]
pub struct LeaveGroup {
    mesh: Mesh,
    request: api::GroupChange,
}

impl LeaveGroup {
    /// Takes another member out of it, by name or key prefix; admins only.
    pub fn member(mut self, member: impl Into<String>) -> Self {
        self.request.member = Some(member.into());
        self
    }
}

asks!(LeaveGroup.group_leave -> api::Group);
