//! Posts: writing, reading, searching.

use claudemesh_core::log::directory::RecordAt;
use claudemesh_core::record::{MAX_MENTIONS, Post, ThreadResolved, mentions};
use claudemesh_core::{MemberId, MessageId, Millis};
use rusqlite::Connection;

use super::{Ground, Place, Plan, limit, read_at, show_at, time};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::store::view::post::{self, PostRow, Range};
use crate::store::view::search::{self, Query, QueryError, Snippet};
use crate::store::view::unread;
use crate::store::{db_error, view};

/// What a post's answer needs.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) id: MessageId,
    pub(crate) place: Place,
    /// It was there already, under the same id.
    pub(crate) known: Option<RecordAt>,
}

/// Whether a post says nothing of other posts or of members, so that nothing has to be looked up for it.
pub(crate) fn stands_alone(request: &api::PostRequest) -> bool {
    request.id.is_none() && request.reply_to.is_none() && !request.text.contains('@')
}

/// Plans a post that [`stands_alone`], where the caller knows that it may go.
pub(crate) fn write_to(place: Place, now: u64, request: &api::PostRequest) -> Result<Plan<About>, Error> {
    plan(
        place,
        now,
        request,
        Draft { id: super::id_or_new(None, now)?, reply_to: None, mentions: Vec::new(), known: None },
    )
}

pub(crate) fn write(db: &Connection, ground: &Ground, request: &api::PostRequest) -> Result<Plan<About>, Error> {
    let place = ground.writable(db, Some(&request.topic))?;
    let id = super::id_or_new(request.id.as_deref(), ground.now)?;
    let reply_to = request.reply_to.as_deref().map(|text| existing(db, &place, text)).transpose()?;
    let names = ground.people.values().filter(|person| person.live && !person.name.is_empty());
    let mut mentioned = mentions(&request.text, names.map(|person| (person.name.as_str(), person.id)));
    mentioned.members.truncate(MAX_MENTIONS);
    let known = post::by_id(db, place.room, &id).map_err(db_error)?.into_iter().find(|row| row.member == ground.own);
    if let Some(row) = &known
        && (row.text != request.text || row.reply_to != reply_to)
    {
        return Err(Error::new(ErrorKind::Conflict, format!("{id} was posted before with other content"))
            .with_hint("use a new id for a new post"));
    }
    let known = known.map(|row| row.at);
    plan(place, ground.now, request, Draft { id, reply_to, mentions: mentioned.members, known })
}

/// What was found out for a post.
struct Draft {
    id: MessageId,
    reply_to: Option<MessageId>,
    mentions: Vec<MemberId>,
    known: Option<RecordAt>,
}

fn plan(place: Place, now: u64, request: &api::PostRequest, draft: Draft) -> Result<Plan<About>, Error> {
    let Draft { id, reply_to, mentions, known } = draft;
    let text = request.text.clone();
    let record = Post { id, text, sent_at: Millis(now), reply_to, session: request.session.clone(), mentions };
    Ground::plan(place.log, record, About { id, place, known }).map(|plan| plan.known(known.is_some()))
}

/// A post that is there.
fn existing(db: &Connection, place: &Place, text: &str) -> Result<MessageId, Error> {
    let id = crate::address::message_id(text)?;
    if post::by_id(db, place.room, &id).map_err(db_error)?.is_empty() {
        let topic = place.topic.as_deref().unwrap_or_default();
        return Err(Error::new(ErrorKind::NotFound, format!("there is no post {id} in #{topic}"))
            .with_hint(format!("see `claudemesh topic history {topic}`")));
    }
    Ok(id)
}

pub(crate) fn resolve(
    db: &Connection,
    ground: &Ground,
    request: &api::TopicResolve,
) -> Result<Plan<(Place, MessageId)>, Error> {
    let place = ground.writable(db, Some(&request.topic))?;
    let id = existing(db, &place, &request.thread)?;
    Ground::plan(place.log, ThreadResolved { id, resolved: !request.reopen }, (place, id))
}

pub(crate) fn posts(db: &Connection, ground: &Ground, query: &api::PostsQuery) -> Result<api::Posts, Error> {
    let topic = ground.topic(db, &query.topic)?;
    let Some(room) = topic.room else {
        ground.joined(db, &query.topic)?;
        return Ok(api::Posts { posts: Vec::new(), next: show_at((0, 0)), resolved: false });
    };
    let place = Place { log: topic.log, room, topic: Some(topic.name) };
    let most = limit(query.limit, 50, 1000);
    if let Some(thread) = &query.thread {
        return in_thread(db, ground, &place, existing(db, &place, thread)?, most);
    }
    let after = query.after.as_deref().map(read_at).transpose()?;
    let before = query.before.as_deref().map(read_at).transpose()?;
    let rows = match (after, before) {
        (Some(after), None) => post::tail(db, room, after, most),
        (after, before) => post::history(db, room, Range { after, before }, most),
    };
    let rows = rows.map_err(db_error)?;
    let next = rows.last().map(|row| row.at).or(after).unwrap_or_default();
    Ok(api::Posts { posts: show_all(ground, &place, rows), next: show_at(next), resolved: false })
}

pub(crate) fn in_thread(
    db: &Connection,
    ground: &Ground,
    place: &Place,
    id: MessageId,
    most: u32,
) -> Result<api::Posts, Error> {
    let thread = post::thread(db, place.room, &id, most).map_err(db_error)?;
    let next = thread.posts.last().map(|row| row.at).unwrap_or_default();
    Ok(api::Posts { posts: show_all(ground, place, thread.posts), next: show_at(next), resolved: thread.resolved })
}

fn show_all(ground: &Ground, place: &Place, rows: Vec<PostRow>) -> Vec<api::Post> {
    let topic = place.topic.as_deref().unwrap_or_default();
    rows.into_iter().map(|row| show(ground, topic, row)).collect()
}

pub(crate) fn show(ground: &Ground, topic: &str, row: PostRow) -> api::Post {
    api::Post {
        id: row.id.to_string(),
        topic: topic.to_owned(),
        at: show_at(row.at),
        from: ground.from(&row.member, row.session),
        body: row.text,
        sent_at: time(row.sent_at),
        reply_to: row.reply_to.map(|id| id.to_string()),
        mentions: row.mentions.iter().map(|member| ground.member_ref(member)).collect(),
    }
}

pub(crate) fn search(db: &Connection, ground: &Ground, query: &api::SearchQuery) -> Result<api::Hits, Error> {
    let words = parse(&query.text)?;
    let room = query.topic.as_deref().map(|topic| ground.joined(db, topic)).transpose()?.map(|place| place.room);
    let found = search::posts(db, ground.mesh, room, &words, limit(query.limit, 20, 200)).map_err(db_error)?;
    let names = ground.topic_names(db)?;
    let hits = found.into_iter().map(|hit| {
        let topic = names.get(&hit.post.room).map_or("", String::as_str);
        api::Hit { post: show(ground, topic, hit.post), snippet: mark(&hit.snippet) }
    });
    Ok(api::Hits { hits: hits.collect() })
}

/// A search as people type it.
pub(crate) fn parse(text: &str) -> Result<Query, Error> {
    Query::parse(text).map_err(|error| {
        let error_text = error.to_string();
        let hint = match error {
            QueryError::Empty => "give it a word to look for",
            _ => "words, \"a phrase\", prefix*, AND, OR, NOT and parentheses are understood",
        };
        Error::new(ErrorKind::Usage, format!("the search is not understood: {error_text}")).with_hint(hint)
    })
}

/// The snippet with what was found in brackets.
pub(crate) fn mark(snippet: &Snippet) -> String {
    let mut marked = String::with_capacity(snippet.text.len() + 2 * snippet.found.len());
    let mut last = 0;
    for range in &snippet.found {
        marked.push_str(&snippet.text[last..range.start]);
        marked.push('[');
        marked.push_str(&snippet.text[range.clone()]);
        marked.push(']');
        last = range.end;
    }
    marked.push_str(&snippet.text[last..]);
    marked
}

pub(crate) fn mark_read(db: &Connection, ground: &Ground, request: &api::TopicRead) -> Result<Place, Error> {
    let place = ground.joined(db, &request.topic)?;
    let session = request.session.as_deref().unwrap_or(crate::DEFAULT_SESSION);
    let through = match request.through.as_deref() {
        Some(text) => Some(read_at(text)?),
        None => view::post::history(db, place.room, Range::default(), 1).map_err(db_error)?.pop().map(|row| row.at),
    };
    if let Some(through) = through {
        unread::mark_read(db, place.room, session, through).map_err(db_error)?;
    }
    Ok(place)
}

/// Whether a message to a topic or to everyone is in its log.
pub(crate) fn is_written(db: &Connection, ground: &Ground, id: &MessageId) -> Result<bool, Error> {
    post::is_own(db, ground.mesh, id).map_err(db_error)
}
