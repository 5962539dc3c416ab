//! Conversations and shared knowledge: requests as records, views as answers.
//!
//! Everything here is a function of the store's views and of a [`Ground`] that says who is who; nothing waits, sends or
//! writes. A change is planned ([`Plan`]), written to its log by the caller, and answered from the views after that.

pub(crate) mod event;
pub(crate) mod group;
pub(crate) mod memory;
pub(crate) mod notification;
pub(crate) mod post;
pub(crate) mod state;
pub(crate) mod task;
pub(crate) mod topic;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use claudemesh_core::address::{Candidate, Name};
use claudemesh_core::log::Record;
use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::record::{GENERAL, RecordError, RoomRecord, TopicRole};
use claudemesh_core::session::LogGaps;
use claudemesh_core::{DeviceId, LogId, MemberId, MeshId, MessageId};
use rusqlite::Connection;

use crate::api;
use crate::error::{Error, ErrorKind};
use crate::store::view::topic::{TopicRow, Viewer};
use crate::store::{db_error, view};

/// A member as requests name it.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: MemberId,
    pub(crate) name: String,
    pub(crate) devices: Vec<DeviceId>,
    pub(crate) live: bool,
    pub(crate) is_admin: bool,
}

/// What an answer has to know of the mesh.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    /// The mesh's row.
    pub(crate) mesh: i64,
    pub(crate) id: MeshId,
    pub(crate) own: MemberId,
    pub(crate) is_admin: bool,
    pub(crate) people: Arc<BTreeMap<MemberId, Person>>,
    /// Epochs of logs that cannot be read here yet.
    pub(crate) missing: Arc<BTreeMap<LogId, Vec<u64>>>,
    /// Logs that are not read in full here, and why.
    pub(crate) gaps: BTreeMap<LogId, LogGaps>,
    /// Logs that the broker says are not open to this device.
    pub(crate) shut: BTreeSet<LogId>,
    /// Now, in milliseconds.
    pub(crate) now: u64,
}

/// A record to be written.
#[derive(Debug)]
pub(crate) struct Plan<T> {
    pub(crate) log: LogId,
    pub(crate) record: Record,
    /// Whether it is there already, so that nothing is to be written.
    pub(crate) known: bool,
    /// Whether what it means depends on everything written before it.
    pub(crate) ordered: bool,
    /// What the answer needs.
    pub(crate) about: T,
}

/// A topic or the whole mesh.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) log: LogId,
    pub(crate) room: i64,
    /// The topic's name.
    pub(crate) topic: Option<String>,
}

impl<T> Plan<T> {
    /// The same, of something that may be there already.
    pub(crate) fn known(self, known: bool) -> Self {
        Self { known, ..self }
    }

    /// The same, of something that everything written before it decides.
    pub(crate) fn ordered(self, ordered: bool) -> Self {
        Self { ordered, ..self }
    }
}

impl Ground {
    pub(crate) fn member_ref(&self, member: &MemberId) -> api::MemberRef {
        let name = self.people.get(member).map(|person| person.name.clone()).unwrap_or_default();
        api::MemberRef { id: member.to_string(), name }
    }

    fn from(&self, member: &MemberId, session: Option<String>) -> api::From {
        let api::MemberRef { id, name } = self.member_ref(member);
        api::From { member: id, name, session: session.unwrap_or_else(|| crate::DEFAULT_SESSION.into()) }
    }

    /// The live member a text names.
    pub(crate) fn member(&self, text: &str) -> Result<MemberId, Error> {
        let candidates = self.people.values().filter(|person| person.live);
        let candidates = candidates.map(|person| Candidate {
            member: person.id,
            name: Some(person.name.as_str()).filter(|name| !name.is_empty()),
            devices: &person.devices,
        });
        let member = text.parse().map_err(|error| {
            Error::new(ErrorKind::Usage, format!("{text:?} is no member: {error}"))
                .with_hint("use a name, or 8 or more digits of a key")
        })?;
        crate::address::choose(candidates, &member, text)
    }

    /// All topics that are known here.
    pub(crate) fn topics(&self, db: &Connection) -> Result<Vec<TopicRow>, Error> {
        let viewer = Viewer { mesh: self.mesh, id: self.id, own: self.own, is_admin: self.is_admin };
        view::topic::topics(db, &viewer).map_err(db_error)
    }

    pub(crate) fn plan<T>(log: LogId, record: impl Into<RoomRecord>, about: T) -> Result<Plan<T>, Error> {
        let record = record.into().encode().map_err(|error| unfit(&error))?;
        Ok(Plan { log, record, known: false, ordered: false, about })
    }

    /// The mesh's own room.
    pub(crate) fn mesh_room(&self, db: &Connection) -> Result<Place, Error> {
        let log = LogId::of_mesh(&self.id);
        Ok(Place { log, room: room(db, self.mesh, &log)?, topic: None })
    }

    /// The room of a topic that is followed here, or the mesh's own when none is named.
    pub(crate) fn place(&self, db: &Connection, topic: Option<&str>) -> Result<Place, Error> {
        match topic {
            None => self.mesh_room(db),
            Some(text) => self.joined(db, text),
        }
    }

    /// As [`Ground::place`], for somebody who writes there.
    pub(crate) fn writable(&self, db: &Connection, topic: Option<&str>) -> Result<Place, Error> {
        let Some(text) = topic else { return self.mesh_room(db) };
        let topic = self.topic(db, text)?;
        match topic.role {
            _ if !topic.followed => {}
            TopicRole::Observer => {
                let name = &topic.name;
                return Err(Error::new(ErrorKind::Refused, format!("observers of #{name} read only"))
                    .with_hint(format!("ask one of its leads: `claudemesh topic members {name}` shows them")));
            }
            TopicRole::None if topic.private => return Err(self.outside(&topic)),
            _ => self.inside(&topic)?,
        }
        followed(topic)
    }

    /// Refuses what the broker would not take from here.
    pub(crate) fn inside(&self, row: &TopicRow) -> Result<(), Error> {
        if self.shut.contains(&row.log) { Err(self.outside(row)) } else { Ok(()) }
    }

    fn outside(&self, row: &TopicRow) -> Error {
        let name = &row.name;
        Error::new(ErrorKind::Refused, format!("you are not in #{name} any more: nothing was written"))
            .with_hint(format!("ask one of its leads to add you: `claudemesh topic members {name}` shows them"))
    }

    /// A topic that is followed here.
    pub(crate) fn joined(&self, db: &Connection, text: &str) -> Result<Place, Error> {
        followed(self.topic(db, text)?)
    }

    /// A topic by name or by the digits of its log id.
    pub(crate) fn topic(&self, db: &Connection, text: &str) -> Result<TopicRow, Error> {
        let wanted = text.strip_prefix('#').unwrap_or(text);
        let name: Name = wanted.parse().map_err(|error| {
            Error::new(ErrorKind::Usage, format!("{text:?} is no topic: {error}"))
                .with_hint("topics are named like #deploys; see `claudemesh topic list`")
        })?;
        let topics = self.topics(db)?;
        let mut found: Vec<_> = topics.iter().filter(|topic| topic.name == name.as_str()).collect();
        if found.is_empty() && wanted.len() >= 8 {
            found = topics.iter().filter(|topic| topic.log.to_string().starts_with(wanted)).collect();
        }
        match found[..] {
            [topic] => Ok(topic.clone()),
            [] => {
                let known = topics.iter().map(|topic| topic.name.as_str());
                let near = crate::address::near(wanted, known);
                let hint = if near.is_empty() {
                    "see `claudemesh topic list`, or make it with `claudemesh topic create`".to_owned()
                } else {
                    format!(
                        "did you mean {}?",
                        near.iter().map(|name| format!("#{name}")).collect::<Vec<_>>().join(", ")
                    )
                };
                Err(Error::new(ErrorKind::NotFound, format!("there is no topic #{wanted}")).with_hint(hint))
            }
            ref several => {
                let ids: Vec<String> = several.iter().map(|topic| topic.log.to_string()[..12].to_owned()).collect();
                Err(Error::new(
                    ErrorKind::Ambiguous,
                    format!("several topics say they are #{wanted}: {}", ids.join(", ")),
                )
                .with_hint("use 8 or more digits of the topic's id"))
            }
        }
    }

    /// What topics are called, by room.
    fn topic_names(&self, db: &Connection) -> Result<BTreeMap<i64, String>, Error> {
        Ok(self.topics(db)?.into_iter().filter_map(|topic| Some((topic.room?, topic.name))).collect())
    }
}

fn followed(topic: TopicRow) -> Result<Place, Error> {
    match topic.room.filter(|_| topic.followed) {
        Some(room) => Ok(Place { log: topic.log, room, topic: Some(topic.name) }),
        None => Err(Error::new(ErrorKind::Refused, format!("you have not joined #{}", topic.name))
            .with_hint(format!("join it with `claudemesh topic join {}`", topic.name))),
    }
}

impl Ground {
    /// Whether any log has entries that will open once a member hands on their secret.
    pub(crate) fn waits(&self) -> bool {
        self.gaps.values().any(|gaps| gaps.sealed)
    }

    /// Entries of a log cannot be read, and what is asked for depends on them.
    pub(crate) fn undecided(&self, log: &LogId) -> Error {
        let what = if *log == LogId::of_mesh(&self.id) { "the mesh" } else { "the topic" };
        if self.gaps.get(log).is_some_and(|gaps| gaps.withheld) {
            return Error::new(
                ErrorKind::Refused,
                format!("{what} keeps what was written before you came to those who were there, and it decides this"),
            )
            .with_hint("ask one of them to do it, or use the state and the tasks of the whole mesh");
        }
        let epochs: Vec<String> = self.missing.get(log).into_iter().flatten().map(u64::to_string).collect();
        let epochs = if epochs.is_empty() { String::new() } else { format!(" (epochs {})", epochs.join(", ")) };
        Error::new(
            ErrorKind::Refused,
            format!("older parts of {what}{epochs} cannot be read here yet, and they decide this"),
        )
        .with_hint("a member who has their key hands it on when it is online; try again then")
    }

    /// What is not found may be among what cannot be read yet.
    pub(crate) fn unless_unread(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::NotFound || !self.waits() {
            return error;
        }
        let hint = error.hint().map(|hint| format!("{hint}; ")).unwrap_or_default();
        error.with_hint(format!("{hint}it may be in older parts that cannot be read here yet: see `claudemesh status`"))
    }
}

/// What was written, at `at`, took no effect: the author may not do it, or something stands against it.
pub(crate) fn effective(db: &Connection, room: i64, at: RecordAt) -> Result<(), Error> {
    if view::took_effect(db, room, at).map_err(db_error)? {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        "it took no effect: your role does not permit it, or it would leave a topic without a lead",
    )
    .with_hint("see `claudemesh topic members`"))
}

/// The row of a log.
pub(crate) fn room(db: &Connection, mesh: i64, log: &LogId) -> Result<i64, Error> {
    crate::store::log::row(db, mesh, log).map_err(db_error)?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "this part of the mesh is not known here yet")
            .with_hint("try again when connected")
    })
}

/// A record that breaks a bound.
pub(crate) fn unfit(error: &RecordError) -> Error {
    let text = error.to_string();
    let mut chars = text.chars();
    let text: String = chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default();
    let hint = match error {
        RecordError::TooLong { .. } | RecordError::TooMany { .. } => "shorten it, then try again",
        RecordError::Empty(_) => "give it some text",
        _ => "correct it, then try again",
    };
    Error::new(ErrorKind::Usage, text).with_hint(hint)
}

/// An address as `offset.index`.
pub(crate) fn show_at((offset, index): RecordAt) -> String {
    format!("{offset}.{index}")
}

/// Reads what [`show_at`] wrote.
pub(crate) fn read_at(text: &str) -> Result<RecordAt, Error> {
    let parts = text.split_once('.').and_then(|(offset, index)| Some((offset.parse().ok()?, index.parse().ok()?)));
    parts.ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("{text:?} is no place in a log"))
            .with_hint("places look like 12.0, as earlier answers have them")
    })
}

/// An id the caller chose, or a fresh one.
pub(crate) fn id_or_new(id: Option<&str>, now: u64) -> Result<MessageId, Error> {
    match id {
        Some(text) => crate::address::message_id(text),
        None => Ok(MessageId::generate(claudemesh_core::Millis(now), &mut rand_core::UnwrapErr(getrandom::SysRng))),
    }
}

/// The first characters of a text, on one line.
pub(crate) fn beginning(text: &str) -> String {
    const LONG: usize = 120;
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONG) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// Whether this is `#general`.
pub(crate) fn is_general(topic: &str) -> bool {
    topic == GENERAL
}

pub(crate) fn limit(asked: Option<u32>, usual: u32, most: u32) -> u32 {
    asked.unwrap_or(usual).clamp(1, most)
}

/// A time as RFC 3339 in UTC.
pub(crate) fn time(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map(|at| at.to_string()).unwrap_or_default()
}
