//! The node as the [`Service`].

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::{Node, view};
use crate::api;
use crate::error::Error;
use crate::service::{Call, MeshSelector, Service};

impl Service for Node {
    fn status(&self) -> Call<'_, api::Status> {
        Box::pin(async move {
            let meshes = self.meshes.read().await.clone();
            let mut states = Vec::with_capacity(meshes.len());
            for mesh in &meshes {
                states.push(self.mesh_status(mesh).await?);
            }
            Ok(api::Status {
                version: env!("CARGO_PKG_VERSION").into(),
                pid: std::process::id(),
                home: self.home.clone(),
                embedded_broker: self.host.as_ref().and_then(|host| host.running()).map(|broker| broker.url),
                meshes: states,
            })
        })
    }

    fn up(&self, request: api::UpRequest) -> Call<'_, api::UpReply> {
        Box::pin(self.enter_by_up(request))
    }

    fn join(&self, request: api::JoinRequest) -> Call<'_, api::JoinReply> {
        Box::pin(self.enter_by_link(request, claudemesh_core::roster::Kind::Human))
    }

    fn meshes(&self) -> Call<'_, api::Meshes> {
        Box::pin(async move {
            let active = self.meshes.read().await.clone();
            let mut meshes = Vec::with_capacity(active.len());
            for mesh in &active {
                meshes.push(self.mesh_info(mesh).await?);
            }
            Ok(api::Meshes { meshes })
        })
    }

    fn warnings<'a>(&'a self, mesh: MeshSelector<'a>) -> BoxFuture<'a, Vec<String>> {
        Box::pin(async move {
            let warnings: BTreeSet<&str> = match (self.mesh(mesh).await, mesh) {
                (Ok(mesh), _) => mesh.warnings().collect(),
                (Err(_), None) => self.meshes.read().await.iter().flat_map(|mesh| mesh.warnings()).collect(),
                (Err(_), Some(_)) => BTreeSet::new(),
            };
            warnings.into_iter().map(str::to_owned).collect()
        })
    }

    fn mesh_use<'a>(&'a self, mesh: &'a str) -> Call<'a, api::MeshInfo> {
        Box::pin(async move {
            let mesh = self.mesh(Some(mesh)).await?;
            self.live(&mesh).await?;
            self.store.select_mesh(mesh.store_row).await?;
            for other in self.meshes.read().await.iter() {
                other.edit(|row| row.selected = other.store_row == mesh.store_row);
            }
            self.mesh_info(&mesh).await
        })
    }

    fn mesh_rename<'a>(&'a self, mesh: &'a str, label: &'a str) -> Call<'a, api::MeshInfo> {
        Box::pin(async move { self.rename(&*self.mesh(Some(mesh)).await?, label).await })
    }

    fn mesh_leave<'a>(&'a self, mesh: &'a str) -> Call<'a, api::MeshInfo> {
        Box::pin(async move { self.leave(&*self.mesh(Some(mesh)).await?).await })
    }

    fn mesh_delete<'a>(&'a self, mesh: &'a str) -> Call<'a, api::MeshInfo> {
        Box::pin(async move { self.delete(&*self.mesh(Some(mesh)).await?).await })
    }

    fn whoami<'a>(&'a self, mesh: MeshSelector<'a>) -> Call<'a, api::WhoAmI> {
        Box::pin(async move { self.who(&*self.mesh(mesh).await?).await })
    }

    fn invite<'a>(&'a self, mesh: MeshSelector<'a>, request: api::InviteRequest) -> Call<'a, api::Invite> {
        Box::pin(async move { self.create_invite(&*self.mesh(mesh).await?, request).await })
    }

    fn invites<'a>(&'a self, mesh: MeshSelector<'a>) -> Call<'a, api::Invites> {
        Box::pin(async move { self.list_invites(&*self.mesh(mesh).await?).await })
    }

    fn invite_revoke<'a>(&'a self, mesh: MeshSelector<'a>, id: &'a str) -> Call<'a, api::Invite> {
        Box::pin(async move { self.close_invite(&*self.mesh(mesh).await?, id).await })
    }

    fn send<'a>(&'a self, mesh: MeshSelector<'a>, request: api::SendRequest) -> Call<'a, api::Sent> {
        Box::pin(async move { self.send_text(&*self.mesh(mesh).await?, request).await })
    }

    fn wait<'a>(&'a self, mesh: MeshSelector<'a>, request: api::WaitRequest) -> Call<'a, api::Sent> {
        Box::pin(async move { self.wait_for(&*self.mesh(mesh).await?, request).await })
    }

    fn message_status<'a>(&'a self, mesh: MeshSelector<'a>, id: &'a str) -> Call<'a, api::MessageStatus> {
        Box::pin(async move { self.status_of(&*self.mesh(mesh).await?, id).await })
    }

    fn inbox<'a>(&'a self, mesh: MeshSelector<'a>, query: api::InboxQuery) -> Call<'a, api::Inbox> {
        Box::pin(async move { self.read_inbox(&*self.mesh(mesh).await?, query).await })
    }

    fn mark_read<'a>(&'a self, mesh: MeshSelector<'a>, request: api::ReadRequest) -> Call<'a, ()> {
        Box::pin(async move { self.mark(&*self.mesh(mesh).await?, request).await })
    }

    fn peers<'a>(&'a self, mesh: MeshSelector<'a>, all: bool) -> Call<'a, api::Peers> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            mesh.catch_up().await;
            mesh.look(move |session, row| {
                let members = session.roster().members().filter(|member| all || member.is_live());
                api::Peers { peers: members.filter_map(|member| view::peer(session, row, &member.id)).collect() }
            })
            .await
        })
    }

    fn set_presence<'a>(&'a self, mesh: MeshSelector<'a>, request: api::PresenceRequest) -> Call<'a, api::WhoAmI> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            self.set_own_presence(&mesh, request).await?;
            self.who(&mesh).await
        })
    }

    fn members<'a>(&'a self, mesh: MeshSelector<'a>) -> Call<'a, api::Members> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            mesh.look(|session, row| {
                let members = session.roster().members();
                api::Members {
                    members: members.filter_map(|member| view::member_info(session, row, &member.id)).collect(),
                }
            })
            .await
        })
    }

    fn member_remove<'a>(&'a self, mesh: MeshSelector<'a>, member: &'a str) -> Call<'a, api::MemberChange> {
        Box::pin(async move { self.remove_member(&*self.mesh(mesh).await?, member).await })
    }

    fn member_role<'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        member: &'a str,
        role: &'a str,
    ) -> Call<'a, api::MemberChange> {
        Box::pin(async move { self.change_role(&*self.mesh(mesh).await?, member, role).await })
    }

    fn events<'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        query: api::EventsQuery,
    ) -> Call<'a, BoxStream<'static, Result<api::EventRecord, Error>>> {
        Box::pin(async move { self.feed(self.mesh(mesh).await?, query).await })
    }

    fn ack<'a>(&'a self, mesh: MeshSelector<'a>, request: api::AckRequest) -> Call<'a, ()> {
        Box::pin(async move { self.commit_position(&*self.mesh(mesh).await?, request).await })
    }

    fn shutdown(&self) -> Call<'_, ()> {
        Box::pin(async move {
            self.stop_all().await;
            Ok(())
        })
    }
}
