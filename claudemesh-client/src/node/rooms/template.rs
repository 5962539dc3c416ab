//! Giving a mesh what a template has, so that doing it again goes on where it was interrupted.
//!
//! A note in the mesh's state comes first: the template, and the ids of the topics' logs. Whoever goes on takes the same logs,
//! so no topic is made twice. The last thing written says that it is complete; from then on nothing is done any more.

use std::collections::BTreeMap;

use claudemesh_core::LogId;
use claudemesh_core::record::{Topic, TopicInfo, Visibility};
use claudemesh_core::session::{Command, LogPolicy};
use serde_json::{Value, json};

use super::{PATIENCE, pending};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::node::driver::rng;
use crate::node::{Active, Node, wait_ready};
use crate::rooms::{Ground, Plan, group, state, topic};
use crate::template::Template;

/// The key with the note.
const NOTE: &str = "template";
/// The key with the hints.
pub(in crate::node) const HINTS: &str = "hints";

/// What the note says.
struct Note {
    version: String,
    complete: bool,
    topics: BTreeMap<String, String>,
}

impl Node {
    pub(super) async fn apply_template(
        &self,
        mesh: &Active,
        request: api::TemplateApply,
    ) -> Result<api::TemplateApplied, Error> {
        let name = request.template;
        let template = Template::named(&name)?;
        wait_ready(self.live(mesh).await?).await?;
        mesh.catch_up().await;
        if !Self::ground(mesh).await?.is_admin {
            return Err(Error::new(ErrorKind::Refused, "only admins and owners give a mesh a template")
                .with_hint("ask one of them"));
        }
        let note = self.note(mesh, &name, &template).await?;
        let mut done = api::TemplateApplied {
            template: name.clone(),
            complete: true,
            groups: Vec::new(),
            topics: Vec::new(),
            state: Vec::new(),
        };
        if note.complete {
            return Ok(done);
        }
        for (path, role) in &template.groups {
            if self.join_group_once(mesh, path, role).await? {
                done.groups.push(path.clone());
            }
        }
        for (topic, purpose) in &template.topics {
            let log = note.topics.get(topic).and_then(|id| id.parse().ok());
            if let Some(log) = log
                && self.make_topic_once(mesh, log, topic, purpose).await?
            {
                done.topics.push(topic.clone());
            }
        }
        let hints = Value::from(template.hints);
        for (key, value) in template.state.iter().map(|(key, value)| (key.as_str(), value)).chain([(HINTS, &hints)]) {
            if self.set_once(mesh, key, value.clone(), "0.0").await? {
                done.state.push(key.to_owned());
            }
        }
        // Whoever was faster has done the same.
        self.set_once(mesh, NOTE, json!({ "name": name, "complete": true }), &note.version).await?;
        Ok(done)
    }

    /// The note of this mesh, made when there is none.
    async fn note(&self, mesh: &Active, name: &str, template: &Template) -> Result<Note, Error> {
        let entry = match self.state_entry(mesh, NOTE).await? {
            Some(entry) if !entry.value.is_null() => entry,
            before => {
                let fresh = |topic: &String| (topic.clone(), Value::from(fresh_log().to_string()));
                let topics: serde_json::Map<String, Value> = template.topics.keys().map(fresh).collect();
                let value = json!({ "name": name, "complete": false, "topics": topics });
                let version = before.map_or_else(|| "0.0".to_owned(), |entry| entry.version);
                self.set_once(mesh, NOTE, value, &version).await?;
                self.state_entry(mesh, NOTE).await?.ok_or_else(|| pending(None))?
            }
        };
        let has = entry.value["name"].as_str().unwrap_or_default();
        if has != name {
            return Err(Error::new(ErrorKind::Conflict, format!("this mesh has the template {has:?} already"))
                .with_hint("a mesh has one template; make another mesh with `claudemesh up --mesh LABEL`"));
        }
        let topics = entry.value["topics"].as_object().into_iter().flatten();
        let topics = topics.filter_map(|(topic, id)| Some((topic.clone(), id.as_str()?.to_owned())));
        Ok(Note { complete: entry.value["complete"] == true, topics: topics.collect(), version: entry.version })
    }

    /// What is under a key of the mesh's state, also after it was deleted.
    pub(in crate::node) async fn state_entry(
        &self,
        mesh: &Active,
        key: &'static str,
    ) -> Result<Option<api::StateEntry>, Error> {
        self.ask(mesh, move |db, ground| state::look(db, ground, key)).await
    }

    /// Sets a key that still has this version; false when it has another one.
    async fn set_once(&self, mesh: &Active, key: &str, value: Value, version: &str) -> Result<bool, Error> {
        let request = api::StateSet { key: key.into(), value, expect: Some(version.into()), ..Default::default() };
        let set = self.change(mesh, None, move |db, ground| state::set(db, ground, &request), state::changed).await;
        match set {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts the own member into a group; false when it is in it.
    async fn join_group_once(&self, mesh: &Active, path: &str, role: &str) -> Result<bool, Error> {
        let request = api::GroupChange { group: path.into(), role: Some(role.into()), member: None };
        let inside = request.clone();
        let inside = self.ask(mesh, move |db, ground| {
            let group = group::one(db, ground, &group::path(&inside.group)?)?;
            Ok(group.members.iter().any(|it| it.member.id == ground.own.to_string()))
        });
        if inside.await? {
            return Ok(false);
        }
        let answer = |db: &_, ground: &_, path: &_, _| group::one(db, ground, path);
        self.change(mesh, None, move |db, ground| group::change(db, ground, &request, true), answer).await.map(|_| true)
    }

    /// Makes a public topic in this log, or what is missing of it; false when nothing is, or the name is another's.
    async fn make_topic_once(&self, mesh: &Active, log: LogId, name: &str, purpose: &str) -> Result<bool, Error> {
        let wanted = name.to_owned();
        let (known, taken) = self
            .ask(mesh, move |db, ground| {
                let topics = ground.topics(db)?;
                let known = topics.iter().find(|topic| topic.log == log).map(|topic| topic.announced);
                Ok((known, topics.iter().any(|topic| topic.name == wanted && topic.log != log)))
            })
            .await?;
        if taken || known == Some(true) {
            return Ok(false);
        }
        let name = topic::name(name)?;
        let purpose = Some(purpose.to_owned());
        if known.is_none() {
            let handle = self.live(mesh).await?;
            handle.command(Command::OpenLog { log, policy: LogPolicy::OPEN }).await?;
            let info = TopicInfo { name: name.clone(), visibility: Visibility::Public, purpose: purpose.clone() };
            let Plan { record, .. } = Ground::plan(log, info, ())?;
            self.write(mesh, log, record, PATIENCE).await?.ok_or_else(|| pending(None))?;
        }
        let Plan { log, record, .. } = Ground::plan(LogId::of_mesh(&mesh.id), Topic { log, name, purpose }, ())?;
        self.write(mesh, log, record, PATIENCE).await?.ok_or_else(|| pending(None))?;
        Ok(true)
    }
}

pub(super) fn fresh_log() -> LogId {
    let mut log = [0; 16];
    rand_core::Rng::fill_bytes(&mut rng(), &mut log);
    LogId::from_bytes(log)
}
