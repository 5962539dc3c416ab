//! Topics and who is in them.

use claudemesh_core::address::Name;
use claudemesh_core::log::HistoryPolicy;
use claudemesh_core::record::{GENERAL, Topic, TopicInfo, TopicMember, TopicRetention, TopicRole, Visibility};
use claudemesh_core::{LogId, MemberId};
use rusqlite::Connection;

use super::{Ground, Place, Plan, time};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::store::db_error;
use crate::store::view::topic::{TopicRow, members as topic_members, news};

/// A topic to be made: what is written there first, and how it is announced.
#[derive(Debug)]
pub(crate) struct New {
    pub(crate) history: HistoryPolicy,
    pub(crate) info: TopicInfo,
    /// For public topics.
    pub(crate) announcement: Option<Topic>,
    pub(crate) members: Vec<MemberId>,
    pub(crate) retention: Option<TopicRetention>,
}

/// The name of a topic to be made.
pub(crate) fn name(text: &str) -> Result<Name, Error> {
    let text = text.strip_prefix('#').unwrap_or(text);
    text.parse().map_err(|error| {
        Error::new(ErrorKind::Usage, format!("{text:?} cannot be the name of a topic: {error}"))
            .with_hint("1 to 64 bytes, without / and , and not starting with @, # or *")
    })
}

pub(crate) fn create(db: &Connection, ground: &Ground, request: &api::TopicCreate, log: LogId) -> Result<New, Error> {
    let name = name(&request.topic)?;
    if ground.topics(db)?.iter().any(|topic| topic.name == name.as_str()) {
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
    let retention = request.retention.filter(|seconds| *seconds > 0).map(|seconds| TopicRetention { seconds });
    Ok(New { history, info, announcement: (!request.private).then_some(announcement), members, retention })
}

pub(crate) fn list(db: &Connection, ground: &Ground, query: &api::TopicsQuery) -> Result<api::Topics, Error> {
    let rows = ground.topics(db)?.into_iter().filter(|topic| topic.followed || !query.joined);
    let topics = rows.map(|topic| show(db, ground, topic, query.session.as_deref())).collect::<Result<_, _>>()?;
    Ok(api::Topics { topics })
}

pub(crate) fn one(db: &Connection, ground: &Ground, text: &str, session: Option<&str>) -> Result<api::Topic, Error> {
    show(db, ground, ground.topic(db, text)?, session)
}

/// What cannot be read here yet, that of the whole mesh first.
pub(crate) fn missing(db: &Connection, ground: &Ground) -> Result<Vec<api::MissingEpochs>, Error> {
    let mut missing = Vec::new();
    if let Some(epochs) = ground.missing.get(&LogId::of_mesh(&ground.id)) {
        missing.push(api::MissingEpochs { topic: None, epochs: epochs.clone() });
    }
    for topic in ground.topics(db)? {
        if let Some(epochs) = ground.missing.get(&topic.log) {
            missing.push(api::MissingEpochs { topic: Some(topic.name), epochs: epochs.clone() });
        }
    }
    Ok(missing)
}

fn show(db: &Connection, ground: &Ground, topic: TopicRow, session: Option<&str>) -> Result<api::Topic, Error> {
    let news = news(db, topic.room, session.unwrap_or(crate::DEFAULT_SESSION)).map_err(db_error)?;
    Ok(api::Topic {
        id: topic.log.to_string(),
        retention: news.retention,
        missing_epochs: ground.missing.get(&topic.log).cloned().unwrap_or_default(),
        name: topic.name,
        purpose: topic.purpose,
        private: topic.private,
        joined: topic.followed,
        role: if topic.followed { role(topic.role) } else { None },
        unread: news.unread.posts,
        mentions: news.unread.mentions,
        last_post_at: news.last.map(|post| time(post.sent_at)),
    })
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

/// A change of how long a topic keeps its posts.
pub(crate) fn retention(db: &Connection, ground: &Ground, request: &api::TopicRetention) -> Result<Plan<Place>, Error> {
    let row = ground.topic(db, &request.topic)?;
    let place = ground.joined(db, &request.topic)?;
    if row.role != TopicRole::Lead && (row.private || !ground.is_admin) {
        return Err(Error::new(ErrorKind::Refused, format!("only leads of #{} say how long it keeps posts", row.name))
            .with_hint(format!("ask one of them: `claudemesh topic members {}`", row.name)));
    }
    let seconds = request.seconds.unwrap_or(0);
    let known = crate::store::view::retention::of(db, place.room).map_err(db_error)?.unwrap_or(0) == seconds;
    Ground::plan(place.log, TopicRetention { seconds }, place).map(|plan| plan.known(known))
}

/// A change of one's own or another's place in a topic.
pub(crate) fn change(
    db: &Connection,
    ground: &Ground,
    topic: &str,
    member: &str,
    role: TopicRole,
) -> Result<Plan<(TopicRow, MemberId)>, Error> {
    let row = ground.topic(db, topic)?;
    ground.joined(db, topic)?;
    ground.inside(&row)?;
    let member = ground.member(member)?;
    if row.role != TopicRole::Lead && (row.private || !ground.is_admin) && member != ground.own {
        return Err(Error::new(ErrorKind::Refused, format!("only leads of #{} change its members", row.name))
            .with_hint(format!("ask one of them: `claudemesh topic members {}`", row.name)));
    }
    Ground::plan(row.log, TopicMember { member, role }, (row, member))
}
