//! The event feed over HTTP: read, and when the connection breaks, go on after the last position.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::time::{Instant, sleep, timeout};

use super::http::Http;
use super::sse::{Frame, Parser};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::local::{EventsParams, FRAME_END, FRAME_ERROR, KEEP_ALIVE, route};

/// A stream without any byte for this long is dead.
const SILENCE: Duration = KEEP_ALIVE.saturating_mul(3);
/// How long a daemon may be away before the reader is told. It covers a restart, not a stop.
const PATIENCE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

struct Feed {
    http: Http,
    params: EventsParams,
    connection: Option<Connection>,
    frames: VecDeque<Frame>,
    away: Option<(Instant, Duration)>,
    ended: bool,
}

struct Connection {
    response: reqwest::Response,
    parser: Parser,
}

/// Opens the feed; the first connection's error is the caller's, later ones are repaired or become the last item.
///
/// `params.after` must be set unless a durable consumer is named, or events between two connections would be lost.
pub(super) async fn open(
    http: Http,
    params: EventsParams,
) -> Result<BoxStream<'static, Result<api::EventRecord, Error>>, Error> {
    let mut feed = Feed { http, params, connection: None, frames: VecDeque::new(), away: None, ended: false };
    feed.connect().await?;
    Ok(stream::unfold(feed, |mut feed| async move { feed.next().await.map(|item| (item, feed)) }).boxed())
}

impl Feed {
    async fn next(&mut self) -> Option<Result<api::EventRecord, Error>> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return match frame.name.as_str() {
                    FRAME_END => {
                        self.ended = true;
                        None
                    }
                    FRAME_ERROR => Some(Err(error_of(&frame.data))),
                    _ => Some(self.record_of(&frame.data)),
                };
            }
            if self.ended {
                return None;
            }
            match &mut self.connection {
                Some(connection) => match connection.frames().await {
                    Some(frames) => {
                        self.away = None;
                        self.frames.extend(frames);
                    }
                    None => self.connection = None,
                },
                None => {
                    if let Err(error) = self.reconnect().await {
                        self.ended = true;
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let response = self.http.stream(route::EVENTS, &self.params).await?;
        self.connection = Some(Connection { response, parser: Parser::default() });
        Ok(())
    }

    async fn reconnect(&mut self) -> Result<(), Error> {
        let (since, pause) = self.away.unwrap_or_else(|| (Instant::now(), FIRST_PAUSE));
        self.away = Some((since, LONGEST_PAUSE.min(pause * 2)));
        sleep(pause).await;
        match self.connect().await {
            Err(error) if error.kind() == ErrorKind::Unreachable && since.elapsed() < PATIENCE => Ok(()),
            result => result,
        }
    }

    fn record_of(&mut self, data: &str) -> Result<api::EventRecord, Error> {
        let record = serde_json::from_str::<api::EventRecord>(data).map_err(|error| {
            let error =
                Error::new(ErrorKind::Internal, "the daemon sent an event of a kind unknown here").with_source(error);
            error.with_hint("restart the daemon with `claudemesh down`: it is of another version")
        });
        // An event we cannot read has a position too, and must not come back for ever.
        let position = match &record {
            Ok(record) => Some(record.position),
            Err(_) => serde_json::from_str::<Position>(data).ok().map(|event| event.position),
        };
        self.params.after = position.or(self.params.after);
        record
    }
}

#[derive(serde::Deserialize)]
struct Position {
    position: u64,
}

impl Connection {
    /// The next frames; `None` when the connection is of no more use.
    async fn frames(&mut self) -> Option<Vec<Frame>> {
        let chunk = timeout(SILENCE, self.response.chunk()).await.ok()?.ok()??;
        self.parser.push(&chunk).ok()
    }
}

fn error_of(data: &str) -> Error {
    match serde_json::from_str::<api::ErrorBody>(data) {
        Ok(body) => body.into(),
        Err(error) => Error::new(ErrorKind::Internal, "the daemon sent an unreadable error").with_source(error),
    }
}
