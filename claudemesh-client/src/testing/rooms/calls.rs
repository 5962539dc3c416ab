//! [`Fake`] as [`Rooms`].

use super::*;

impl Rooms for Fake {
    fn topic_create<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TopicCreate) -> Call<'a, api::Topic> {
        async move {
            self.answer(|state| {
                let (ground, rooms) = state.grounded(mesh)?;
                create(&ground, rooms, &request)
            })
        }
        .boxed()
    }

    fn topics<'a>(&'a self, mesh: MeshSelector<'a>, query: api::TopicsQuery) -> Call<'a, api::Topics> {
        self.ask(mesh, move |db, ground| topic::list(db, ground, &query))
    }

    fn topic_join<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TopicName) -> Call<'a, api::Topic> {
        async move {
            self.answer(|state| {
                let (ground, rooms) = state.grounded(mesh)?;
                place(&ground, rooms, &request.topic, TopicRole::Member)
            })
        }
        .boxed()
    }

    fn topic_leave<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TopicName) -> Call<'a, api::Topic> {
        async move {
            self.answer(|state| {
                let (ground, rooms) = state.grounded(mesh)?;
                place(&ground, rooms, &request.topic, TopicRole::None)
            })
        }
        .boxed()
    }

    fn topic_members<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TopicName) -> Call<'a, api::TopicMembers> {
        self.ask(mesh, move |db, ground| topic::members(db, ground, &ground.joined(db, &request.topic)?))
    }

    fn topic_member<'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        request: api::TopicMemberChange,
    ) -> Call<'a, api::TopicMembers> {
        let name = request.topic.clone();
        self.make(
            mesh,
            move |db, ground| {
                topic::change(db, ground, &request.topic, &request.member, topic::core_role(request.role))
            },
            move |db, ground, _, _| topic::members(db, ground, &ground.joined(db, &name)?),
        )
    }

    fn topic_post<'a>(&'a self, mesh: MeshSelector<'a>, request: api::PostRequest) -> Call<'a, api::Posted> {
        self.make(
            mesh,
            move |db, ground| post::write(db, ground, &request),
            |_, _, about, at| {
                Ok(api::Posted {
                    id: about.id.to_string(),
                    topic: about.place.topic.clone().unwrap_or_default(),
                    state: api::State::Accepted,
                    at: Some(show_at(about.known.unwrap_or(at))),
                })
            },
        )
    }

    fn topic_posts<'a>(&'a self, mesh: MeshSelector<'a>, query: api::PostsQuery) -> Call<'a, api::Posts> {
        let wait_ms = query.wait_ms;
        async move {
            self.look(wait_ms, |state| {
                let (ground, rooms) = state.grounded(mesh)?;
                post::posts(&rooms.db, &ground, &query).map(|found| (!found.posts.is_empty(), found))
            })
            .await
        }
        .boxed()
    }

    fn topic_search<'a>(&'a self, mesh: MeshSelector<'a>, query: api::SearchQuery) -> Call<'a, api::Hits> {
        self.ask(mesh, move |db, ground| post::search(db, ground, &query))
    }

    fn topic_read<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TopicRead) -> Call<'a, api::Topic> {
        self.ask(mesh, move |db, ground| {
            post::mark_read(db, ground, &request)?;
            topic::one(db, ground, &request.topic, request.session.as_deref())
        })
    }

    fn topic_retention<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TopicRetention) -> Call<'a, api::Topic> {
        let answer =
            |db: &_, ground: &_, place: &Place, _: RecordAt| topic::one(db, ground, &place.log.to_string(), None);
        self.make(mesh, move |db, ground| topic::retention(db, ground, &request), answer)
    }

    fn compact<'a>(&'a self, mesh: MeshSelector<'a>, request: api::Compact) -> Call<'a, api::Compacted> {
        // There is no broker to keep less.
        self.ask(mesh, move |db, ground| {
            ground.place(db, request.topic.as_deref()).map(|_| api::Compacted { dropped: 0 })
        })
    }

    fn topic_resolve<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TopicResolve) -> Call<'a, api::Posts> {
        let answer = |db: &_, ground: &_, (place, id): &_, _| post::in_thread(db, ground, place, *id, 50);
        self.make(mesh, move |db, ground| post::resolve(db, ground, &request), answer)
    }

    fn notifications<'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        query: api::NotificationQuery,
    ) -> Call<'a, api::Notifications> {
        self.ask(mesh, move |db, ground| notification::list(db, ground, &query))
    }

    fn notification_read<'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        request: api::NotificationRead,
    ) -> Call<'a, api::Marked> {
        self.ask(mesh, move |db, ground| notification::mark(db, ground, &request))
    }

    fn groups<'a>(&'a self, mesh: MeshSelector<'a>, query: api::GroupQuery) -> Call<'a, api::Groups> {
        self.ask(mesh, move |db, ground| group::list(db, ground, &query))
    }

    fn group_join<'a>(&'a self, mesh: MeshSelector<'a>, request: api::GroupChange) -> Call<'a, api::Group> {
        let answer = |db: &_, ground: &_, path: &_, _| group::one(db, ground, path);
        self.make(mesh, move |db, ground| group::change(db, ground, &request, true), answer)
    }

    fn group_leave<'a>(&'a self, mesh: MeshSelector<'a>, request: api::GroupChange) -> Call<'a, api::Group> {
        let answer = |db: &_, ground: &_, path: &_, _| group::one(db, ground, path);
        self.make(mesh, move |db, ground| group::change(db, ground, &request, false), answer)
    }

    fn state_get<'a>(&'a self, mesh: MeshSelector<'a>, request: api::StateKey) -> Call<'a, api::StateEntry> {
        self.ask(mesh, move |db, ground| state::get(db, ground, &request))
    }

    fn state_set<'a>(&'a self, mesh: MeshSelector<'a>, mut request: api::StateSet) -> Call<'a, api::StateEntry> {
        let named = (request.request_id.take(), json!(["state_set", request]));
        let (key, topic, compares) = (request.key.clone(), request.topic.clone(), request.expect.is_some());
        let about = move |db: &_, ground: &_| state::about(db, ground, topic.as_deref(), key, compares);
        self.make_once(mesh, named, about, move |db, ground| state::set(db, ground, &request), state::changed)
    }

    fn state_list<'a>(&'a self, mesh: MeshSelector<'a>, query: api::StateQuery) -> Call<'a, api::StateEntries> {
        let wait_ms = if query.after.is_some() { query.wait_ms } else { 0 };
        async move {
            self.look(wait_ms, |state| {
                let (ground, rooms) = state.grounded(mesh)?;
                state::list(&rooms.db, &ground, &query).map(|found| (!found.entries.is_empty(), found))
            })
            .await
        }
        .boxed()
    }

    fn state_delete<'a>(&'a self, mesh: MeshSelector<'a>, mut request: api::StateDelete) -> Call<'a, api::StateEntry> {
        let named = (request.request_id.take(), json!(["state_delete", request]));
        let (key, topic, compares) = (request.key.clone(), request.topic.clone(), request.expect.is_some());
        let about = move |db: &_, ground: &_| state::about(db, ground, topic.as_deref(), key, compares);
        self.make_once(mesh, named, about, move |db, ground| state::delete(db, ground, &request), state::changed)
    }

    fn remember<'a>(&'a self, mesh: MeshSelector<'a>, request: api::Remember) -> Call<'a, api::Memory> {
        let answer = |db: &_, ground: &_, about: &_, _| memory::remembered(db, ground, about);
        self.make(mesh, move |db, ground| memory::remember(db, ground, &request), answer)
    }

    fn recall<'a>(&'a self, mesh: MeshSelector<'a>, request: api::Recall) -> Call<'a, api::Memories> {
        self.ask(mesh, move |db, ground| memory::recall(db, ground, &request))
    }

    fn forget<'a>(&'a self, mesh: MeshSelector<'a>, request: api::MemoryName) -> Call<'a, api::Memory> {
        let answer = |_: &_, _: &_, memory: &api::Memory, _: RecordAt| Ok(memory.clone());
        self.make(mesh, move |db, ground| memory::forget(db, ground, &request), answer)
    }

    fn task_create<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TaskCreate) -> Call<'a, api::Task> {
        self.make(mesh, move |db, ground| task::create(db, ground, &request), task::changed)
    }

    fn tasks<'a>(&'a self, mesh: MeshSelector<'a>, query: api::TaskQuery) -> Call<'a, api::Tasks> {
        self.ask(mesh, move |db, ground| task::list(db, ground, &query))
    }

    fn task_claim<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TaskChange) -> Call<'a, api::Task> {
        self.step(mesh, request, Step::Claim)
    }

    fn task_release<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TaskChange) -> Call<'a, api::Task> {
        self.step(mesh, request, Step::Release)
    }

    fn task_complete<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TaskChange) -> Call<'a, api::Task> {
        self.step(mesh, request, Step::Complete)
    }

    fn template<'a>(&'a self, mesh: MeshSelector<'a>, request: api::TemplateApply) -> Call<'a, api::TemplateApplied> {
        async move {
            let template = Template::named(&request.template)?;
            let mut done = api::TemplateApplied {
                template: request.template,
                complete: true,
                groups: Vec::new(),
                topics: Vec::new(),
                state: Vec::new(),
            };
            for (group, role) in template.groups {
                let known = self.groups(mesh, api::GroupQuery::default()).await?.groups;
                if known.iter().all(|known| known.group != group) {
                    let request = api::GroupChange { group: group.clone(), role: Some(role), member: None };
                    self.group_join(mesh, request).await?;
                    done.groups.push(group);
                }
            }
            for (topic, purpose) in template.topics {
                let request =
                    api::TopicCreate { topic: topic.clone(), purpose: Some(purpose), ..api::TopicCreate::default() };
                done.topics.extend(made(self.topic_create(mesh, request).await.map(drop), topic)?);
            }
            for (key, value) in template.state.into_iter().chain([("hints".to_owned(), template.hints.into())]) {
                let expect = Some("0.0".to_owned());
                let request = api::StateSet { key: key.clone(), value, expect, ..api::StateSet::default() };
                done.state.extend(made(self.state_set(mesh, request).await.map(drop), key)?);
            }
            Ok(done)
        }
        .boxed()
    }
}
