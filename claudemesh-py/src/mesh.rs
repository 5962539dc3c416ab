//! The handle of one mesh.

use claudemesh_client::{Mesh as Opened, api};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::argument::{Addresses, Span, Word};
use crate::call::{Answer, Call};
use crate::group::Groups;
use crate::handle::{Handle, with};
use crate::memory::SharedMemory;
use crate::message::{self, Received, SentMessage};
use crate::notification::Notifications;
use crate::state::SharedState;
use crate::stream::Stream;
use crate::task::Tasks;
use crate::topic::Topic;

/// `claudemesh_client::Mesh`.
#[pyclass(frozen, module = "claudemesh._claudemesh")]
pub(crate) struct Mesh(Handle<Opened>);

impl Mesh {
    pub(crate) fn opened(mesh: Opened) -> Self {
        Self(Handle::opened(mesh))
    }
}

#[pymethods]
impl Mesh {
    fn id(&self) -> PyResult<String> {
        Ok(self.0.get()?.id().to_owned())
    }

    fn label(&self) -> PyResult<String> {
        Ok(self.0.get()?.label().to_owned())
    }

    fn session(&self) -> PyResult<Option<String>> {
        Ok(self.0.get()?.session().map(str::to_owned))
    }

    fn is_embedded(&self) -> PyResult<bool> {
        Ok(self.0.get()?.is_embedded())
    }

    fn is_closed(&self) -> bool {
        self.0.life().is_closed()
    }

    fn with_session(&self, session: String) -> PyResult<Self> {
        Ok(Self(self.0.derive(self.0.get()?.clone().with_session(session))))
    }

    fn other(&self, mesh: String) -> PyResult<Call> {
        let ask = |this: Opened| async move { this.other(&mesh).await };
        self.0.call_then(ask, |py, mesh, life| Self(Handle::of(mesh, life)).into_py_any(py))
    }

    fn close(&self) -> PyResult<Call> {
        self.0.close()
    }

    fn shutdown(&self) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.shutdown().await })
    }

    #[expect(clippy::too_many_arguments)]
    fn send(
        &self,
        to: Addresses,
        text: String,
        priority: Option<Word<api::Priority>>,
        id: Option<String>,
        reply_to: Option<String>,
        ttl: Option<Span>,
        session: Option<String>,
    ) -> PyResult<Call> {
        let options = message::Options { priority, id, reply_to, ttl, session };
        let ask = |mesh: Opened| options.set(mesh.send(to.0, text)).into_future();
        self.0.call_then(ask, |py, sent, life| SentMessage(Handle::of(sent, life)).into_py_any(py))
    }

    fn message_status(&self, id: String) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.message_status(&id).await })
    }

    fn inbox(&self, unread: bool, limit: Option<u32>, wait: Option<Span>) -> PyResult<Call> {
        let wait = wait.map(|wait| wait.0);
        let ask = |mesh: Opened| {
            let inbox = with!(mesh.inbox(); limit, wait);
            if unread { inbox.unread() } else { inbox }.into_future()
        };
        self.0.call_then(ask, |py, messages, life| {
            let own = |message| Received(Handle::of(message, life.clone()));
            messages.into_iter().map(own).collect::<Vec<_>>().into_py_any(py)
        })
    }

    fn mark_read(&self, messages: Vec<PyRef<'_, Received>>) -> PyResult<Call> {
        let messages = messages.iter().map(|message| message.0.get().cloned()).collect::<PyResult<Vec<_>>>()?;
        self.0.call(|mesh| async move { mesh.mark_read(&messages).await })
    }

    /// A stream of (kind, delivered, what it holds).
    fn events(&self, consumer: Option<String>) -> PyResult<Call> {
        let mesh = self.0.get()?.clone();
        let life = self.0.life().clone();
        Ok(Call::spawned(async move {
            let events = match consumer {
                Some(consumer) => mesh.events_from(consumer).await?,
                None => mesh.events().await?,
            };
            let stream = Stream::open(events, &life, message::event);
            Ok::<Answer, _>(Box::new(|py| stream.into_py_any(py)))
        }))
    }

    fn topic(&self, topic: String) -> PyResult<Topic> {
        Ok(Topic(self.0.derive(self.0.get()?.topic(topic))))
    }

    fn topics(&self) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.topics().await })
    }

    fn create_topic(
        &self,
        topic: String,
        purpose: Option<String>,
        private: bool,
        members: Vec<String>,
        retention: Option<Span>,
        history: Option<Word<api::History>>,
    ) -> PyResult<Call> {
        let (retention, history) = (retention.map(|span| span.0), history.map(|word| word.0));
        self.0.call(|mesh| {
            let mut topic = with!(mesh.create_topic(topic); purpose, retention, history);
            if private {
                topic = topic.private();
            }
            members.into_iter().fold(topic, |topic, member| topic.member(member)).into_future()
        })
    }

    fn compact(&self) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.compact().await })
    }

    fn search(&self, text: String, topic: Option<String>, limit: Option<u32>) -> PyResult<Call> {
        self.0.call(|mesh| with!(mesh.search(text); topic, limit).into_future())
    }

    fn groups(&self) -> PyResult<Groups> {
        Ok(Groups(self.0.derive(self.0.get()?.groups())))
    }

    fn state(&self) -> PyResult<SharedState> {
        Ok(SharedState(self.0.derive(self.0.get()?.state())))
    }

    fn memory(&self) -> PyResult<SharedMemory> {
        Ok(SharedMemory(self.0.derive(self.0.get()?.memory())))
    }

    fn tasks(&self) -> PyResult<Tasks> {
        Ok(Tasks(self.0.derive(self.0.get()?.tasks())))
    }

    fn notifications(&self) -> PyResult<Notifications> {
        Ok(Notifications(self.0.derive(self.0.get()?.notifications())))
    }

    fn apply_template(&self, template: String) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.apply_template(template).await })
    }

    fn whoami(&self) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.whoami().await })
    }

    fn peers(&self) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.peers().await })
    }

    fn set_status(&self, status: Word<api::Activity>) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.set_status(status.0).await })
    }

    fn set_summary(&self, summary: String) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.set_summary(summary).await })
    }

    fn members(&self) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.members().await })
    }

    fn remove_member(&self, member: String) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.remove_member(&member).await })
    }

    fn set_role(&self, member: String, role: String) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.set_role(&member, &role).await })
    }

    fn invite(
        &self,
        uses: Option<u32>,
        expires_in: Option<Span>,
        role: Option<String>,
        name_hint: Option<String>,
    ) -> PyResult<Call> {
        let mut request = api::InviteRequest { name_hint, ..Default::default() };
        request.uses = uses.unwrap_or(request.uses);
        request.expires_in = expires_in.map_or(request.expires_in, |span| span.0.as_secs());
        request.role = role.unwrap_or(request.role);
        self.0.call(|mesh| async move { mesh.invite(request).await })
    }

    fn invites(&self) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.invites().await })
    }

    fn revoke_invite(&self, id: String) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.revoke_invite(&id).await })
    }

    fn meshes(&self) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.meshes().await })
    }

    fn status(&self) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.status().await })
    }

    fn rename(&self, label: String) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.rename(&label).await })
    }

    fn leave(&self) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.leave().await })
    }

    fn delete(&self) -> PyResult<Call> {
        self.0.call(|mesh| async move { mesh.delete().await })
    }
}
