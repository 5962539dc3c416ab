//! What the mesh remembers.

use claudemesh_core::record::{Forgotten, Memory, TopicRole};
use claudemesh_core::{MessageId, Millis};
use rusqlite::Connection;

use super::{Ground, Place, Plan, limit, post, time};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::store::db_error;
use crate::store::view::memory::{self, MemoryRow};

/// What the answer to a change needs.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) place: Place,
    pub(crate) id: MessageId,
}

pub(crate) fn remember(db: &Connection, ground: &Ground, request: &api::Remember) -> Result<Plan<About>, Error> {
    let place = ground.writable(db, request.topic.as_deref())?;
    let id = super::id_or_new(request.id.as_deref(), ground.now)?;
    let known = memory::by_id(db, place.room, &id).map_err(db_error)?.into_iter().find(|row| row.member == ground.own);
    if known.as_ref().is_some_and(|row| row.text != request.text || row.tags != request.tags) {
        return Err(Error::new(ErrorKind::Conflict, format!("{id} was remembered before with other content"))
            .with_hint("use a new id for a new memory"));
    }
    let record = Memory { id, text: request.text.clone(), at: Millis(ground.now), tags: request.tags.clone() };
    Ground::plan(place.log, record, About { place, id }).map(|plan| plan.known(known.is_some()))
}

/// The answer once the memory is in the log.
pub(crate) fn remembered(db: &Connection, ground: &Ground, about: &About) -> Result<api::Memory, Error> {
    let rows = memory::by_id(db, about.place.room, &about.id).map_err(db_error)?;
    let row = rows.into_iter().find(|row| row.member == ground.own).ok_or_else(|| absent(&about.id.to_string()))?;
    Ok(show(ground, about.place.topic.clone(), row))
}

fn absent(id: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no memory {id}")).with_hint("see `claudemesh recall`")
}

/// Forgets a memory of any room. The answer is made before: afterwards there is nothing to show.
pub(crate) fn forget(db: &Connection, ground: &Ground, request: &api::MemoryName) -> Result<Plan<api::Memory>, Error> {
    let id = crate::address::message_id(&request.id)?;
    let mut places = vec![ground.mesh_room(db)?];
    for topic in ground.topics(db)? {
        if let (Some(room), true) = (topic.room, topic.followed) {
            places.push(Place { log: topic.log, room, topic: Some(topic.name) });
        }
    }
    for place in places {
        let mut rows = memory::by_id(db, place.room, &id).map_err(db_error)?;
        // One's own first: another may have given the same id.
        rows.sort_by_key(|row| row.member != ground.own);
        if let Some(row) = rows.into_iter().next() {
            let leads = match &place.topic {
                Some(topic) => ground.topic(db, topic)?.role == TopicRole::Lead,
                None => false,
            };
            if row.member != ground.own && !ground.is_admin && !leads {
                return Err(Error::new(
                    ErrorKind::Refused,
                    "only who remembered it, leads and admins make it forgotten",
                )
                .with_hint("ask one of them"));
            }
            let what = Forgotten { id, member: row.member };
            return Ground::plan(place.log, what, show(ground, place.topic.clone(), row));
        }
    }
    Err(absent(&request.id))
}

pub(crate) fn recall(db: &Connection, ground: &Ground, request: &api::Recall) -> Result<api::Memories, Error> {
    let query = request.text.as_deref().map(post::parse).transpose()?;
    let room = request.topic.as_deref().map(|topic| ground.joined(db, topic)).transpose()?.map(|place| place.room);
    let wanted = memory::Recall {
        mesh: ground.mesh,
        room,
        query: query.as_ref(),
        tags: &request.tags,
        limit: limit(request.limit, 20, 200),
    };
    let rows = memory::recall(db, &wanted).map_err(db_error)?;
    let names = ground.topic_names(db)?;
    let memories = rows.into_iter().map(|row| {
        let topic = names.get(&row.room).cloned();
        show(ground, topic, row)
    });
    Ok(api::Memories { memories: memories.collect() })
}

fn show(ground: &Ground, topic: Option<String>, row: MemoryRow) -> api::Memory {
    api::Memory {
        id: row.id.to_string(),
        text: row.text,
        tags: row.tags,
        by: ground.member_ref(&row.member),
        at: time(row.written_at),
        topic,
        snippet: row.snippet.as_ref().map(post::mark),
    }
}
