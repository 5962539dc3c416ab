//! Conversations and shared knowledge of the far end: the real records and the real views, over a log that is only a count.

mod calls;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use claudemesh_core::log::Record;
use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::record::{RoomRecord, TopicMember, TopicRole};
use claudemesh_core::{DeviceId, LogId, MemberId, MeshId};
use futures_util::FutureExt;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::{Fake, FakeMesh, State};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::rooms::task::Step;
use crate::rooms::{Ground, Person, Place, Plan, group, memory, notification, post, show_at, state, task, topic};
use crate::service::{Call, MeshSelector, Rooms};
use crate::store::{self, db_error, view};
use crate::template::Template;

/// The rooms of one mesh.
#[derive(Debug)]
pub(super) struct Folded {
    db: Connection,
    tails: BTreeMap<LogId, u64>,
    /// Requests that the caller named, and where they were written.
    named: BTreeMap<String, (Value, RecordAt)>,
}

/// Records are written in the name of a member.
struct Author {
    member: MemberId,
    device: DeviceId,
}

impl Folded {
    fn new(mesh: MeshId) -> Result<Self, Error> {
        let db = store::memory()?;
        db.execute(
            "INSERT INTO mesh (id, mesh, device_seed, label, name, broker_url, broker_key, insecure, embedded, state)
             VALUES (1, ?1, x'', '', '', '', x'', 0, 0, 'active')",
            [mesh.as_bytes()],
        )
        .map_err(db_error)?;
        let folded = Self { db, tails: BTreeMap::new(), named: BTreeMap::new() };
        folded.follow(LogId::of_mesh(&mesh), true)?;
        folded.follow(LogId::of_general(&mesh), true)?;
        Ok(folded)
    }

    fn follow(&self, log: LogId, followed: bool) -> Result<(), Error> {
        let sql = "INSERT INTO log (mesh, id, followed, policy) VALUES (1, ?1, ?2, x'')
                   ON CONFLICT DO UPDATE SET followed = excluded.followed";
        self.db.execute(sql, params![log.as_bytes(), followed]).map(drop).map_err(db_error)
    }

    fn write(&mut self, ground: &Ground, author: &Author, log: LogId, record: Record) -> Result<RecordAt, Error> {
        let room = crate::rooms::room(&self.db, 1, &log)?;
        let offset = self.tails.entry(log).or_default();
        *offset += 1;
        let entry = view::Entry {
            room,
            mesh: 1,
            scope: match log {
                log if log == LogId::of_mesh(&ground.id) => view::Scope::Mesh,
                log if log == LogId::of_general(&ground.id) => view::Scope::General,
                _ => view::Scope::Topic,
            },
            own: ground.own,
            offset: *offset,
            author: author.device,
            member: author.member,
            is_admin: ground.people.get(&author.member).is_some_and(|person| person.is_admin),
            now: i64::try_from(ground.now).unwrap_or(i64::MAX),
            late: false,
            witnessed: true,
            raises: false,
            records: &[record],
        };
        view::apply(&self.db, &entry).map_err(db_error)?;
        Ok((*offset, 0))
    }
}

impl FakeMesh {
    fn ground(&self, now: u64) -> Result<Ground, Error> {
        let internal = |what: &str| Error::new(ErrorKind::Internal, format!("{what} is no id"));
        let mut people = BTreeMap::new();
        for member in &self.members {
            let id = member.id.parse().map_err(|_| internal(&member.id))?;
            let devices = member.devices.iter().filter_map(|device| device.parse().ok()).collect();
            let is_admin = member.role != "member";
            people.insert(id, Person { id, name: member.name.clone(), devices, live: member.live, is_admin });
        }
        let own: MemberId = self.info.member.id.parse().map_err(|_| internal(&self.info.member.id))?;
        Ok(Ground {
            mesh: 1,
            id: self.info.id.parse().map_err(|_| internal(&self.info.id))?,
            own,
            is_admin: people.get(&own).is_some_and(|person| person.is_admin),
            people: Arc::new(people),
            missing: Arc::default(),
            gaps: BTreeMap::new(),
            shut: BTreeSet::new(),
            now,
        })
    }

    fn rooms(&mut self, ground: &Ground) -> Result<&mut Folded, Error> {
        if self.rooms.is_none() {
            self.rooms = Some(Folded::new(ground.id)?);
        }
        self.rooms.as_mut().ok_or_else(|| Error::new(ErrorKind::Internal, "no rooms"))
    }
}

impl State {
    fn now(&mut self) -> u64 {
        self.counter += 1;
        1_767_225_600_000 + self.counter
    }

    /// The mesh, what is known of it, and its rooms.
    fn grounded(&mut self, mesh: MeshSelector<'_>) -> Result<(Ground, &mut Folded), Error> {
        let now = self.now();
        let mesh = self.mesh(mesh)?;
        let ground = mesh.ground(now)?;
        let rooms = mesh.rooms(&ground)?;
        Ok((ground, rooms))
    }
}

impl State {
    /// Whom an address reaches: the members of a group, or the one it names.
    pub(super) fn reached(&mut self, mesh: MeshSelector<'_>, address: &str) -> Result<Vec<String>, Error> {
        if !address.starts_with('@') {
            return Ok(vec![address.split('/').next().unwrap_or(address).to_owned()]);
        }
        let (ground, rooms) = self.grounded(mesh)?;
        let members = group::reached(&rooms.db, &ground, &group::path(address)?)?;
        Ok(members.iter().map(ToString::to_string).collect())
    }
}

impl Ground {
    fn author(&self, member: &MemberId) -> Author {
        let device = self.people.get(member).and_then(|person| person.devices.first()).copied();
        Author { member: *member, device: device.unwrap_or(DeviceId::from_bytes([0; 32])) }
    }
}

impl Fake {
    /// A member of the first mesh posts to a topic that the caller follows; returns the post's id.
    ///
    /// # Errors
    /// As `topic_post` of the service.
    pub fn post_from(&self, from: &str, topic: &str, text: &str) -> Result<String, Error> {
        self.change(|state| {
            let (mut ground, rooms) = state.grounded(None)?;
            let author = ground.author(&ground.member(from)?);
            let own = std::mem::replace(&mut ground.own, author.member);
            let request = api::PostRequest { topic: topic.into(), text: text.into(), ..Default::default() };
            let Plan { log, record, about, .. } = post::write(&rooms.db, &ground, &request)?;
            ground.own = own;
            rooms.write(&ground, &author, log, record)?;
            let rows = view::post::by_id(&rooms.db, about.place.room, &about.id).map_err(db_error)?;
            let topic = about.place.topic.unwrap_or_default();
            let posts = rows.into_iter().map(|row| Box::new(post::show(&ground, &topic, row)));
            let events: Vec<api::Event> = posts.map(|post| api::Event::Post { post }).collect();
            let mesh = state.mesh(None)?;
            events.into_iter().for_each(|event| mesh.record(event));
            Ok(about.id.to_string())
        })
    }

    fn ask<'a, T: Send + 'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        ask: impl FnOnce(&Connection, &Ground) -> Result<T, Error> + Send + 'a,
    ) -> Call<'a, T> {
        async move {
            self.answer(|state| {
                let (ground, rooms) = state.grounded(mesh)?;
                ask(&rooms.db, &ground)
            })
        }
        .boxed()
    }

    fn make<'a, A, T: Send + 'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        plan: impl FnOnce(&Connection, &Ground) -> Result<Plan<A>, Error> + Send + 'a,
        answer: impl FnOnce(&Connection, &Ground, &A, RecordAt) -> Result<T, Error> + Send + 'a,
    ) -> Call<'a, T> {
        async move {
            self.answer(|state| {
                let (ground, rooms) = state.grounded(mesh)?;
                let Plan { log, record, known, about, .. } = plan(&rooms.db, &ground)?;
                let author = ground.author(&ground.own);
                let at = if known { (0, 0) } else { rooms.write(&ground, &author, log, record)? };
                answer(&rooms.db, &ground, &about, at)
            })
        }
        .boxed()
    }
}

/// A request under the name its caller gave it, if any.
type Named = (Option<String>, Value);

impl Fake {
    /// As [`Fake::make`], of what is made once under its name.
    fn make_once<'a, A, T: Send + 'a>(
        &'a self,
        mesh: MeshSelector<'a>,
        (name, asked): Named,
        about: impl FnOnce(&Connection, &Ground) -> Result<A, Error> + Send + 'a,
        plan: impl FnOnce(&Connection, &Ground) -> Result<Plan<A>, Error> + Send + 'a,
        answer: impl FnOnce(&Connection, &Ground, &A, RecordAt) -> Result<T, Error> + Send + 'a,
    ) -> Call<'a, T> {
        async move {
            self.answer(|state| {
                let (ground, rooms) = state.grounded(mesh)?;
                if let Some((known, at)) = name.as_ref().and_then(|name| rooms.named.get(name)) {
                    if *known != asked {
                        return Err(Error::new(ErrorKind::Conflict, "something else was asked for under this id"));
                    }
                    return answer(&rooms.db, &ground, &about(&rooms.db, &ground)?, *at);
                }
                let Plan { log, record, about, .. } = plan(&rooms.db, &ground)?;
                let at = rooms.write(&ground, &ground.author(&ground.own), log, record)?;
                rooms.named.extend(name.map(|name| (name, (asked, at))));
                answer(&rooms.db, &ground, &about, at)
            })
        }
        .boxed()
    }

    fn step<'a>(&'a self, mesh: MeshSelector<'a>, mut request: api::TaskChange, step: Step) -> Call<'a, api::Task> {
        let named = (request.request_id.take(), json!([step.name(), request]));
        let id = request.id.clone();
        self.make_once(
            mesh,
            named,
            move |db, ground| task::about(db, ground, &id, step),
            move |db, ground| task::change(db, ground, &request, step),
            task::changed,
        )
    }
}

fn create(ground: &Ground, rooms: &mut Folded, request: &api::TopicCreate) -> Result<api::Topic, Error> {
    let mut log = [7; 16];
    log[..8].copy_from_slice(&ground.now.to_be_bytes());
    let log = LogId::from_bytes(log);
    let new = topic::create(&rooms.db, ground, request, log)?;
    rooms.follow(log, true)?;
    let mut records: Vec<RoomRecord> = vec![new.info.into()];
    let others = new.members.into_iter().filter(|member| *member != ground.own);
    records.extend(others.map(|member| RoomRecord::from(TopicMember { member, role: TopicRole::Member })));
    let author = ground.author(&ground.own);
    for record in records {
        rooms.write(ground, &author, log, Ground::plan(log, record, ())?.record)?;
    }
    if let Some(announcement) = new.announcement {
        let own = LogId::of_mesh(&ground.id);
        rooms.write(ground, &author, own, Ground::plan(own, announcement, ())?.record)?;
    }
    topic::one(&rooms.db, ground, &log.to_string(), None)
}

fn place(ground: &Ground, rooms: &mut Folded, name: &str, role: TopicRole) -> Result<api::Topic, Error> {
    let row = ground.topic(&rooms.db, name)?;
    if role == TopicRole::None {
        ground.joined(&rooms.db, name)?;
    }
    if !crate::rooms::is_general(&row.name) && row.role != role && row.role != TopicRole::Lead {
        let Plan { record, .. } = Ground::plan(row.log, TopicMember { member: ground.own, role }, ())?;
        rooms.write(ground, &ground.author(&ground.own), row.log, record)?;
    }
    rooms.follow(row.log, role != TopicRole::None)?;
    topic::one(&rooms.db, ground, name, None)
}

/// The name of what was made now; none of what was there.
fn made(result: Result<(), Error>, name: String) -> Result<Option<String>, Error> {
    match result {
        Ok(()) => Ok(Some(name)),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
        Err(error) => Err(error),
    }
}
