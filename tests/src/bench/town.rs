//! A broker on disk and members of one mesh, in this process.

use std::path::PathBuf;

use claudemesh_broker::{Broker, Config};
use claudemesh_client::{Mesh, api};

use crate::Fallible;

pub(crate) struct Town {
    folder: PathBuf,
    pub(crate) broker: Broker,
    pub(crate) owner: Mesh,
    link: String,
}

impl Town {
    /// A mesh that can have so many members.
    pub(crate) async fn found(folder: PathBuf, members: usize) -> Fallible<Self> {
        let broker = Broker::bind(Config::in_directory(folder.join("broker"))).await?;
        let request = api::UpRequest { broker: Some(broker.url()), name: Some("owner".into()), ..Default::default() };
        let (owner, _) = Mesh::builder().home(folder.join("owner")).embedded().up(request).await?;
        let uses = u32::try_from(members)?;
        let link = owner.invite(api::InviteRequest { uses, ..Default::default() }).await?.link.ok_or("no link")?;
        Ok(Self { folder, broker, owner, link })
    }

    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) async fn join(&self, name: &str) -> Fallible<Mesh> {
        let request = api::JoinRequest { link: self.link.clone(), name: Some(name.into()), ..Default::default() };
        Ok(Mesh::builder().home(self.home(name)).embedded().join(request).await?)
    }

    /// A member without a home on disk.
    pub(crate) async fn join_in_memory(&self, name: &str) -> Fallible<Mesh> {
        Ok(Mesh::builder().in_memory().name(name).join(&self.link).await?)
    }

    /// Ends everything, these members first.
    pub(crate) async fn close(self, members: Vec<Mesh>) -> Fallible<()> {
        for mesh in members.into_iter().chain([self.owner]) {
            mesh.close().await?;
        }
        self.broker.shutdown().await;
        Ok(())
    }

    pub(crate) fn broker_folder(&self) -> PathBuf {
        self.folder.join("broker")
    }
}
