//! The answers of [`Fake`] about conversations and shared knowledge. Bob has written everything.

use claudemesh_client::service::Rooms;

use super::*;

fn applied(template: String) -> TemplateApplied {
    TemplateApplied {
        template,
        complete: true,
        groups: vec!["dev".into()],
        topics: vec!["deploys".into(), "reviews".into()],
        state: vec!["hints".into()],
    }
}

const AT: &str = "2026-11-21T06:55:00Z";

impl Fake {
    fn topic(&self, name: &str) -> Topic {
        Topic {
            id: "1a2b3c4d5e6f7a8b".into(),
            name: name.trim_start_matches('#').into(),
            purpose: Some(format!("{} ships", self.name)),
            private: true,
            joined: true,
            role: Some(TopicRole::Lead),
            unread: 3,
            mentions: 1,
            last_post_at: Some(AT.into()),
            retention: None,
            missing_epochs: vec![2],
        }
    }

    fn topic_members(&self, topic: String) -> TopicMembers {
        TopicMembers { topic, members: vec![TopicMember { member: self.bob(), role: TopicRole::Lead }] }
    }

    /// A post of bob's.
    pub(crate) fn post(&self, body: &str, at: &str) -> Post {
        Post {
            id: ID.into(),
            topic: "deploys".into(),
            at: at.into(),
            from: From { member: self.bob().id, name: self.name.clone(), session: "work".into() },
            body: body.into(),
            sent_at: AT.into(),
            reply_to: Some(ID.into()),
            mentions: vec![alice()],
        }
    }

    fn posts(&self, resolved: bool) -> Posts {
        Posts { posts: vec![self.post("hi\nthere", "12.0")], next: "13.0".into(), resolved }
    }

    fn group(&self, group: &str) -> Group {
        let member = GroupMember { member: self.bob(), role: Some("reviewer".into()) };
        Group { group: group.trim_start_matches('@').into(), members: vec![member] }
    }

    /// A key of the state, set by bob.
    pub(crate) fn entry(&self, key: &str, value: Value) -> StateEntry {
        StateEntry {
            key: key.into(),
            deleted: value.is_null(),
            value,
            version: "12.0".into(),
            by: self.bob(),
            expires_at: Some(AT.into()),
            topic: None,
        }
    }

    fn memory(&self) -> Memory {
        Memory {
            id: ID.into(),
            text: "staging runs\nPostgreSQL".into(),
            tags: vec!["infra".into(), "db".into()],
            by: self.bob(),
            at: AT.into(),
            topic: Some("deploys".into()),
            snippet: None,
        }
    }

    fn task(&self, state: TaskState) -> Task {
        let claimed = state == TaskState::Claimed || state == TaskState::Done;
        Task {
            id: ID.into(),
            title: "build".into(),
            body: Some("all\nof it".into()),
            state,
            by: self.bob(),
            at: AT.into(),
            depends_on: vec![ID.into()],
            assignee: Some(alice()),
            claimed_by: claimed.then(|| self.bob()),
            session: claimed.then(|| "ci".into()),
            fence: claimed.then_some(832),
            result: (state == TaskState::Done).then(|| "built".into()),
            topic: Some("deploys".into()),
        }
    }

    fn notification(&self) -> Notification {
        Notification {
            id: "1.3.0".into(),
            kind: "mention".into(),
            from: self.bob(),
            topic: Some("deploys".into()),
            subject: Some(ID.into()),
            text: "staging is green, @alice".into(),
            at: AT.into(),
            read: false,
        }
    }

    /// The next batch of a stream; without one, a question that waits is not answered.
    fn batch<'a, T: Send + 'static>(
        &'a self,
        call: &str,
        about: Value,
        batches: &Mutex<VecDeque<T>>,
        waits: bool,
        usual: T,
    ) -> Call<'a, T> {
        let next = batches.lock().unwrap().pop_front();
        if waits && next.is_none() {
            return Box::pin(std::future::pending());
        }
        self.answer(call, about, next.unwrap_or(usual))
    }
}

/// Calls that are answered with a value made of their request.
macro_rules! answers {
    ($($call:ident($fake:ident, $request:ident: $type:ty) -> $answer:ty { $value:expr })*) => {
        $(fn $call<'a>(&'a self, mesh: MeshSelector<'a>, $request: $type) -> Call<'a, $answer> {
            let $fake = self;
            let about = json!([mesh, $request]);
            let value = $value;
            self.answer(stringify!($call), about, value)
        })*
    };
}

pub(super) use answers;

impl Rooms for Fake {
    answers! {
        topic_create(fake, request: TopicCreate) -> Topic { fake.topic(&request.topic) }
        topics(fake, request: TopicsQuery) -> Topics { Topics { topics: vec![fake.topic("deploys")] } }
        topic_join(fake, request: TopicName) -> Topic { fake.topic(&request.topic) }
        topic_leave(fake, request: TopicName) -> Topic { fake.topic(&request.topic) }
        topic_members(fake, request: TopicName) -> TopicMembers { fake.topic_members(request.topic) }
        topic_member(fake, request: TopicMemberChange) -> TopicMembers { fake.topic_members(request.topic) }
        topic_post(fake, request: PostRequest) -> Posted { Posted {
            id: ID.into(),
            topic: request.topic,
            state: if fake.connected { State::Accepted } else { State::Queued },
            at: fake.connected.then(|| "12.0".into()),
        } }
        topic_search(fake, request: SearchQuery) -> Hits {
            Hits { hits: vec![Hit { post: fake.post("hi there", "12.0"), snippet: "[hi] there".into() }] }
        }
        topic_read(fake, request: TopicRead) -> Topic { Topic { unread: 0, ..fake.topic(&request.topic) } }
        topic_resolve(fake, request: TopicResolve) -> Posts { fake.posts(!request.reopen) }
        topic_retention(fake, request: TopicRetention) -> Topic {
            Topic { retention: request.seconds, ..fake.topic(&request.topic) }
        }
        compact(_fake, _request: Compact) -> Compacted { Compacted { dropped: 12 } }
        notifications(fake, request: NotificationQuery) -> Notifications {
            Notifications { notifications: vec![fake.notification()] }
        }
        notification_read(_fake, request: NotificationRead) -> Marked {
            Marked { marked: request.ids.len() as u64 }
        }
        groups(fake, request: GroupQuery) -> Groups { Groups { groups: vec![fake.group("backend/api")] } }
        group_join(fake, request: GroupChange) -> Group { fake.group(&request.group) }
        group_leave(fake, request: GroupChange) -> Group { fake.group(&request.group) }
        state_get(fake, request: StateKey) -> StateEntry { fake.entry(&request.key, json!({"a": "b\nc"})) }
        state_set(fake, request: StateSet) -> StateEntry { fake.entry(&request.key, request.value) }
        state_delete(fake, request: StateDelete) -> StateEntry { fake.entry(&request.key, Value::Null) }
        remember(fake, request: Remember) -> Memory { fake.memory() }
        recall(fake, request: Recall) -> Memories { Memories { memories: vec![fake.memory()] } }
        forget(fake, request: MemoryName) -> Memory { fake.memory() }
        task_create(fake, request: TaskCreate) -> Task { fake.task(TaskState::Blocked) }
        tasks(fake, request: TaskQuery) -> Tasks { Tasks { tasks: vec![fake.task(TaskState::Done)] } }
        task_claim(fake, request: TaskChange) -> Task { fake.task(TaskState::Claimed) }
        task_release(fake, request: TaskChange) -> Task { fake.task(TaskState::Open) }
        task_complete(fake, request: TaskChange) -> Task { fake.task(TaskState::Done) }
        template(_fake, request: TemplateApply) -> TemplateApplied { applied(request.template.clone()) }
    }

    fn topic_posts<'a>(&'a self, mesh: MeshSelector<'a>, request: PostsQuery) -> Call<'a, Posts> {
        let (about, waits) = (json!([mesh, request]), request.wait_ms > 0);
        self.batch("topic_posts", about, &self.posts, waits, self.posts(true))
    }

    fn state_list<'a>(&'a self, mesh: MeshSelector<'a>, request: StateQuery) -> Call<'a, StateEntries> {
        let (about, waits) = (json!([mesh, request]), request.wait_ms > 0);
        let usual = StateEntries { entries: vec![self.entry("replicas", json!(3))], next: "13.0".into() };
        self.batch("state_list", about, &self.changes, waits, usual)
    }
}
