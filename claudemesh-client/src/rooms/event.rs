//! New posts and notifications as events.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{Ground, notification, post};
use crate::api;
use crate::error::Error;
use crate::store::view::event::Told;

/// Puts events into words, in their order.
pub(crate) fn show(db: &Connection, ground: &Ground, told: Vec<Told>) -> Result<Vec<api::Event>, Error> {
    let names = if told.is_empty() { BTreeMap::new() } else { ground.topic_names(db)? };
    let show = |told| match told {
        Told::Post(row) => {
            let topic = names.get(&row.room).map_or("", String::as_str);
            api::Event::Post { post: Box::new(post::show(ground, topic, row)) }
        }
        Told::Notification(row) => {
            let topic = names.get(&row.room).cloned();
            api::Event::Notification { notification: Box::new(notification::show(ground, topic, row)) }
        }
    };
    Ok(told.into_iter().map(show).collect())
}
