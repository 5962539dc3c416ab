//! Topics and who is in them.

use claudemesh_core::address::Name;
use claudemesh_core::log::HistoryPolicy;
use claudemesh_core::record::{GENERAL, Topic, TopicInfo, TopicMember, TopicRole, Visibility};
use claudemesh_core::{LogId, MemberId};
use rusqlite::Connection;

use super::{Ground, Place, Plan, time};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::store::db_error;
use crate::store::view::topic::{TopicRow, members as topic_members, topics};

/// A topic to be made: what is written there first, and how it is announced.
#[derive(Debug)]
pub(crate) struct New {
    pub(crate) history: HistoryPolicy,
    pub(crate) info: TopicInfo,
    /// For public topics.
    pub(crate) announcement: Option<Topic>,
    pub(crate) members: Vec<MemberId>,
}

pub(crate) fn create(db: &Connection, ground: &Ground, request: &api::TopicCreate, log: LogId) -> Result<New, Error> {
    let text = request.topic.strip_prefix('#').unwrap_or(&request.topic);
    let name: Name = text.parse().map_err(|error| {
        Error::new(ErrorKind::Usage, format!("{text:?} cannot be the name of a topic: {error}"))
            .with_hint("1 to 64 bytes, without / and , and not starting with @, # or *")
    })?;
    let taken = topics(db, &ground.viewer(crate::DEFAULT_SESSION)).map_err(db_error)?;
    if taken.iter().any(|topic| topic.name == name.as_str()) {
        return Err(Error::new(ErrorKind::Conflict, format!("there is a topic #{name} already"))
            .with_hint(format!("join it with `claudemesh topic join {name}`, or take another name")));
    }
    if !request.private && !request.members.is_empty() {
        return Err(Error::new(
            ErrorKind::Usage,
            "members are named for private topics only: anybody can join a public one",
        )
        .with_hint("leave them out, or make it private"));
    }
    let members = request.members.iter().map(|text| ground.member(text)).collect::<Result<_, _>>()?;
    let visibility = if request.private { Visibility::Private } else { Visibility::Public };
    let info = TopicInfo { name: name.clone(), visibility, purpose: request.purpose.clone() };
    let announcement = Topic { log, name, purpose: request.purpose.clone() };
    let history = match request.history {
        api::History::All => HistoryPolicy::All,
        api::History::Joining => HistoryPolicy::Joining,
        api::History::None => HistoryPolicy::None,
    };
    // Whatever is out of bounds is said before anything is made.
    Ground::plan(log, info.clone(), ())?;
    Ok(New { history, info, announcement: (!request.private).then_some(announcement), members })
}

pub(crate) fn list(db: &Connection, ground: &Ground, query: &api::TopicsQuery) -> Result<api::Topics, Error> {
    let session = query.session.as_deref().unwrap_or(crate::DEFAULT_SESSION);
    let rows = topics(db, &ground.viewer(session)).map_err(db_error)?;
    let rows = rows.into_iter().filter(|topic| topic.followed || !query.joined);
    Ok(api::Topics { topics: rows.map(|topic| show(ground, topic)).collect() })
}

pub(crate) fn one(db: &Connection, ground: &Ground, text: &str, session: Option<&str>) -> Result<api::Topic, Error> {
    ground.topic(db, text, session.unwrap_or(crate::DEFAULT_SESSION)).map(|topic| show(ground, topic))
}

/// What cannot be read here yet, that of the whole mesh first.
pub(crate) fn missing(db: &Connection, ground: &Ground) -> Result<Vec<api::MissingEpochs>, Error> {
    let mut missing = Vec::new();
    if let Some(epochs) = ground.missing.get(&LogId::of_mesh(&ground.id)) {
        missing.push(api::MissingEpochs { topic: None, epochs: epochs.clone() });
    }
    for topic in topics(db, &ground.viewer(crate::DEFAULT_SESSION)).map_err(db_error)? {
        if let Some(epochs) = ground.missing.get(&topic.log) {
            missing.push(api::MissingEpochs { topic: Some(topic.name), epochs: epochs.clone() });
        }
    }
    Ok(missing)
}

fn show(ground: &Ground, topic: TopicRow) -> api::Topic {
    api::Topic {
        id: topic.log.to_string(),
        missing_epochs: ground.missing.get(&topic.log).cloned().unwrap_or_default(),
        name: topic.name,
        purpose: topic.purpose,
        private: topic.private,
        joined: topic.followed,
        role: if topic.followed { role(topic.role) } else { None },
        unread: topic.unread.posts,
        mentions: topic.unread.mentions,
        last_post_at: topic.last.map(|post| time(post.sent_at)),
    }
}

const fn role(role: TopicRole) -> Option<api::TopicRole> {
    match role {
        TopicRole::None => None,
        TopicRole::Observer => Some(api::TopicRole::Observer),
        TopicRole::Member => Some(api::TopicRole::Member),
        TopicRole::Lead => Some(api::TopicRole::Lead),
    }
}

pub(crate) fn core_role(role: Option<api::TopicRole>) -> TopicRole {
    match role {
        None => TopicRole::None,
        Some(api::TopicRole::Observer) => TopicRole::Observer,
        Some(api::TopicRole::Member) => TopicRole::Member,
        Some(api::TopicRole::Lead) => TopicRole::Lead,
    }
}

pub(crate) fn members(db: &Connection, ground: &Ground, place: &Place) -> Result<api::TopicMembers, Error> {
    let topic = place.topic.clone().unwrap_or_default();
    let mut roles = topic_members(db, place.room).map_err(db_error)?;
    if topic == GENERAL {
        let observers = roles.clone();
        let observes =
            |member: &MemberId| observers.iter().any(|(id, role)| id == member && *role == TopicRole::Observer);
        let all = ground.people.values().filter(|person| person.live);
        roles = all
            .map(|person| {
                let role = match person {
                    person if person.is_admin => TopicRole::Lead,
                    person if observes(&person.id) => TopicRole::Observer,
                    _ => TopicRole::Member,
                };
                (person.id, role)
            })
            .collect();
    }
    let mut members: Vec<api::TopicMember> = roles
        .into_iter()
        .filter_map(|(member, held)| Some(api::TopicMember { member: ground.member_ref(&member), role: role(held)? }))
        .collect();
    members.sort_by(|a, b| b.role.cmp(&a.role).then_with(|| a.member.name.cmp(&b.member.name)));
    Ok(api::TopicMembers { topic, members })
}

/// A change of one's own or another's place in a topic.
pub(crate) fn change(
    db: &Connection,
    ground: &Ground,
    topic: &str,
    member: &str,
    role: TopicRole,
) -> Result<Plan<(TopicRow, MemberId)>, Error> {
    let row = ground.topic(db, topic, crate::DEFAULT_SESSION)?;
    ground.joined(db, topic)?;
    ground.inside(&row)?;
    let member = ground.member(member)?;
    if row.role != TopicRole::Lead && (row.private || !ground.is_admin) && member != ground.own {
        return Err(Error::new(ErrorKind::Refused, format!("only leads of #{} change its members", row.name))
            .with_hint(format!("ask one of them: `claudemesh topic members {}`", row.name)));
    }
    Ground::plan(row.log, TopicMember { member, role }, (row, member))
}
