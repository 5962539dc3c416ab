//! [`Node`] as [`Rooms`].

use claudemesh_core::log::directory::RecordAt;

use super::super::Node;
use super::super::driver::Once;
use crate::api;
use crate::rooms::task::Step;
use crate::rooms::{self, Place};
use crate::rooms::{group, memory, notification, post, state, task, topic};
use crate::service::{Call, MeshSelector, Rooms};

impl Rooms for Node {
    fn topic_create<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TopicCreate) -> Call<'a, api::Topic> {
        Box::pin(async move { self.create_topic(&*self.mesh(mesh).await?, request).await })
    }

    fn topics<'a>(&'a self, mesh: MeshSelector<'a>, query: api::TopicsQuery) -> Call<'a, api::Topics> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            mesh.catch_up().await;
            self.ask(&mesh, move |db, ground| topic::list(db, ground, &query)).await
        })
    }

    fn topic_join<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TopicName) -> Call<'a, api::Topic> {
        Box::pin(async move { self.join_topic(&*self.mesh(mesh).await?, request.topic).await })
    }

    fn topic_leave<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TopicName) -> Call<'a, api::Topic> {
        Box::pin(async move { self.leave_topic(&*self.mesh(mesh).await?, request.topic).await })
    }

    fn topic_members<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TopicName) -> Call<'a, api::TopicMembers> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            mesh.catch_up().await;
            self.ask(&mesh, move |db, ground| topic::members(db, ground, &ground.joined(db, &request.topic)?)).await
        })
    }

    fn topic_member<'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        request: api::TopicMemberChange,
    ) -> Call<'a, api::TopicMembers> {
        Box::pin(async move { self.change_topic_member(&*self.mesh(mesh).await?, request).await })
    }

    fn topic_post<'a>(&'a self, mesh: MeshSelector<'a>, request: api::PostRequest) -> Call<'a, api::Posted> {
        Box::pin(async move { self.post(&*self.mesh(mesh).await?, request).await })
    }

    fn topic_posts<'a>(&'a self, mesh: MeshSelector<'a>, query: api::PostsQuery) -> Call<'a, api::Posts> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            mesh.catch_up().await;
            let wait_ms = query.wait_ms;
            let question = move |db: &_, ground: &_| post::posts(db, ground, &query);
            self.ask_until(&mesh, wait_ms, question, |found: &api::Posts| !found.posts.is_empty()).await
        })
    }

    fn topic_search<'a>(&'a self, mesh: MeshSelector<'a>, query: api::SearchQuery) -> Call<'a, api::Hits> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            mesh.catch_up().await;
            self.ask(&mesh, move |db, ground| post::search(db, ground, &query)).await
        })
    }

    fn topic_read<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TopicRead) -> Call<'a, api::Topic> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            self.ask(&mesh, move |db, ground| {
                post::mark_read(db, ground, &request)?;
                topic::one(db, ground, &request.topic, request.session.as_deref())
            })
            .await
        })
    }

    fn topic_resolve<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TopicResolve) -> Call<'a, api::Posts> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            let answer = |db: &_, ground: &_, (place, id): &(Place, _), at| {
                rooms::effective(db, place.room, at)?;
                post::in_thread(db, ground, place, *id, 50)
            };
            self.change(&mesh, None, move |db, ground| post::resolve(db, ground, &request), answer).await
        })
    }

    fn topic_retention<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TopicRetention) -> Call<'a, api::Topic> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            let answer = |db: &_, ground: &_, place: &Place, at| {
                if at != RecordAt::default() {
                    rooms::effective(db, place.room, at)?;
                }
                topic::one(db, ground, &place.log.to_string(), None)
            };
            self.change(&mesh, None, move |db, ground| topic::retention(db, ground, &request), answer).await
        })
    }

    fn compact<'a>(&'a self, mesh: MeshSelector<'a>, request: api::Compact) -> Call<'a, api::Compacted> {
        Box::pin(async move { self.compact_room(&*self.mesh(mesh).await?, request).await })
    }

    fn notifications<'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        query: api::NotificationQuery,
    ) -> Call<'a, api::Notifications> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            mesh.catch_up().await;
            self.ask(&mesh, move |db, ground| notification::list(db, ground, &query)).await
        })
    }

    fn notification_read<'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        request: api::NotificationRead,
    ) -> Call<'a, api::Marked> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            self.ask(&mesh, move |db, ground| notification::mark(db, ground, &request)).await
        })
    }

    fn groups<'a>(&'a self, mesh: MeshSelector<'a>, query: api::GroupQuery) -> Call<'a, api::Groups> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            mesh.catch_up().await;
            self.ask(&mesh, move |db, ground| group::list(db, ground, &query)).await
        })
    }

    fn group_join<'a>(&'a self, mesh: MeshSelector<'a>, request: api::GroupChange) -> Call<'a, api::Group> {
        Box::pin(async move { self.change_group(mesh, request, true).await })
    }

    fn group_leave<'a>(&'a self, mesh: MeshSelector<'a>, request: api::GroupChange) -> Call<'a, api::Group> {
        Box::pin(async move { self.change_group(mesh, request, false).await })
    }

    fn state_get<'a>(&'a self, mesh: MeshSelector<'a>, request: api::StateKey) -> Call<'a, api::StateEntry> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            mesh.catch_up().await;
            self.ask(&mesh, move |db, ground| state::get(db, ground, &request)).await
        })
    }

    fn state_set<'a>(&'a self, mesh: MeshSelector<'a>, mut request: api::StateSet) -> Call<'a, api::StateEntry> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            let once = Once::named(request.request_id.take(), "state_set", &request)?;
            let (key, topic, compares) = (request.key.clone(), request.topic.clone(), request.expect.is_some());
            let about = move |db: &_, ground: &_| state::about(db, ground, topic.as_deref(), key, compares);
            let plan = move |db: &_, ground: &_| state::set(db, ground, &request);
            self.change_once(&mesh, (once, false), about, plan, state::changed).await
        })
    }

    fn state_list<'a>(&'a self, mesh: MeshSelector<'a>, query: api::StateQuery) -> Call<'a, api::StateEntries> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            mesh.catch_up().await;
            let wait_ms = if query.after.is_some() { query.wait_ms } else { 0 };
            let question = move |db: &_, ground: &_| state::list(db, ground, &query);
            self.ask_until(&mesh, wait_ms, question, |found: &api::StateEntries| !found.entries.is_empty()).await
        })
    }

    fn state_delete<'a>(&'a self, mesh: MeshSelector<'a>, mut request: api::StateDelete) -> Call<'a, api::StateEntry> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            let once = Once::named(request.request_id.take(), "state_delete", &request)?;
            let (key, topic, compares) = (request.key.clone(), request.topic.clone(), request.expect.is_some());
            let about = move |db: &_, ground: &_| state::about(db, ground, topic.as_deref(), key, compares);
            let plan = move |db: &_, ground: &_| state::delete(db, ground, &request);
            self.change_once(&mesh, (once, false), about, plan, state::changed).await
        })
    }

    fn remember<'a>(&'a self, mesh: MeshSelector<'a>, request: api::Remember) -> Call<'a, api::Memory> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            let answer = |db: &_, ground: &_, about: &_, _| memory::remembered(db, ground, about);
            self.change(&mesh, None, move |db, ground| memory::remember(db, ground, &request), answer).await
        })
    }

    fn recall<'a>(&'a self, mesh: MeshSelector<'a>, request: api::Recall) -> Call<'a, api::Memories> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            mesh.catch_up().await;
            self.ask(&mesh, move |db, ground| memory::recall(db, ground, &request)).await
        })
    }

    fn forget<'a>(&'a self, mesh: MeshSelector<'a>, request: api::MemoryName) -> Call<'a, api::Memory> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            let answer = |_: &_, _: &_, memory: &api::Memory, _: RecordAt| Ok(memory.clone());
            self.change(&mesh, None, move |db, ground| memory::forget(db, ground, &request), answer).await
        })
    }

    fn task_create<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TaskCreate) -> Call<'a, api::Task> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            self.change(&mesh, None, move |db, ground| task::create(db, ground, &request), task::changed).await
        })
    }

    fn tasks<'a>(&'a self, mesh: MeshSelector<'a>, query: api::TaskQuery) -> Call<'a, api::Tasks> {
        Box::pin(async move {
            let mesh = self.mesh(mesh).await?;
            mesh.catch_up().await;
            self.ask(&mesh, move |db, ground| task::list(db, ground, &query)).await
        })
    }

    fn task_claim<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TaskChange) -> Call<'a, api::Task> {
        Box::pin(async move { self.change_task(mesh, request, Step::Claim).await })
    }

    fn task_release<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TaskChange) -> Call<'a, api::Task> {
        Box::pin(async move { self.change_task(mesh, request, Step::Release).await })
    }

    fn task_complete<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TaskChange) -> Call<'a, api::Task> {
        Box::pin(async move { self.change_task(mesh, request, Step::Complete).await })
    }

    fn template<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TemplateApply) -> Call<'a, api::TemplateApplied> {
        Box::pin(async move { self.apply_template(&*self.mesh(mesh).await?, request).await })
    }
}
