//! The node's answers about sessions.

use crate::api;
use crate::node::Node;
use crate::service::{Call, MeshSelector, Sessions};

impl Node {
    /// The id of a mesh that was named; none when all are meant.
    async fn scope(&self, mesh: MeshSelector<'_>) -> Result<Option<String>, crate::Error> {
        match mesh {
            Some(_) => Ok(Some(self.mesh(mesh).await?.id.to_string())),
            None => Ok(None),
        }
    }
}

impl Sessions for Node {
    fn session_register<'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        request: api::SessionRegister,
    ) -> Call<'a, api::HostSession> {
        Box::pin(async move { self.hosts.register(self.scope(mesh).await?.as_deref(), request).await })
    }

    fn sessions<'a>(&'a self, mesh: MeshSelector<'a>, query: api::SessionsQuery) -> Call<'a, api::HostSessions> {
        Box::pin(async move { self.hosts.list(self.scope(mesh).await?.as_deref(), query.all).await })
    }

    fn session_event<'a>(&'a self, mesh: MeshSelector<'a>, event: api::SessionEvent) -> Call<'a, api::SessionAnswer> {
        Box::pin(async move { self.hosts.event(self.scope(mesh).await?.as_deref(), event).await })
    }

    fn session_notices<'a>(&'a self, _mesh: MeshSelector<'a>, query: api::NoticesQuery) -> Call<'a, api::Notices> {
        Box::pin(self.hosts.notices(query))
    }

    fn session_take<'a>(&'a self, mesh: MeshSelector<'a>, query: api::TakeQuery) -> Call<'a, api::Taken> {
        Box::pin(async move { self.hosts.take(self.scope(mesh).await?.as_deref(), query).await })
    }

    fn session_limits<'a>(
        &'a self,
        _mesh: MeshSelector<'a>,
        request: api::LimitsRequest,
    ) -> Call<'a, api::SessionLimits> {
        Box::pin(self.hosts.limit(request))
    }

    fn session_permit<'a>(&'a self, mesh: MeshSelector<'a>, request: api::PermitRequest) -> Call<'a, api::Permits> {
        Box::pin(async move { self.hosts.permit(&*self.mesh(mesh).await?, request).await })
    }
}
