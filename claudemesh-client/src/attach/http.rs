//! Calls to the daemon: one HTTP client on one Unix socket. Turns every answer into a value or a typed error.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::api;
use crate::error::{Error, ErrorKind};
use crate::home::no_daemon;
use crate::local::{BODY_LIMIT, WARNING_HEADER};

/// What an ordinary call may take. It covers a slow disk; nothing else may hold the daemon.
pub(super) const CALL: Duration = Duration::from_secs(30);
/// What a call may take that goes through a broker.
pub(super) const FAR_CALL: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    socket: Arc<Path>,
    /// What came with the last answer.
    warnings: Arc<Mutex<Vec<String>>>,
}

/// A call before it is made.
#[derive(Debug)]
pub(super) struct Request {
    method: Method,
    url: Url,
    body: Option<Vec<u8>>,
    time: Duration,
    repeatable: bool,
    /// Under which it may be asked for again, by whoever makes it.
    name: Option<String>,
}

impl Request {
    /// A question: it changes nothing, so it is asked again when the connection breaks.
    pub(super) fn get(path: &str, query: &impl Serialize) -> Result<Self, Error> {
        Ok(Self { method: Method::GET, url: url(path, query)?, body: None, time: CALL, repeatable: true, name: None })
    }

    /// An order without a body.
    pub(super) fn post(path: &str, query: &impl Serialize) -> Result<Self, Error> {
        Ok(Self { method: Method::POST, url: url(path, query)?, body: None, time: CALL, repeatable: false, name: None })
    }

    pub(super) fn body(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let bytes = serde_json::to_vec(body).map_err(|error| {
            Error::new(ErrorKind::Internal, "a request could not be written as JSON").with_source(error)
        })?;
        if bytes.len() > BODY_LIMIT {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("the request is {} bytes, more than the {BODY_LIMIT} permitted", bytes.len()),
            ));
        }
        self.body = Some(bytes);
        Ok(self)
    }

    /// Gives the call this much time, on top of what the connection takes.
    pub(super) fn within(mut self, time: Duration) -> Self {
        self.time = time.saturating_add(CALL);
        self
    }

    /// Doing it twice is the same as once.
    pub(super) fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Doing it twice under this request id is the same as once.
    pub(super) fn named(mut self, id: String) -> Self {
        self.name = Some(id);
        self.repeatable()
    }
}

impl Http {
    pub(super) fn new(socket: &Path) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .unix_socket(socket)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::new(ErrorKind::Internal, "the local client cannot start").with_source(error))?;
        Ok(Self { client, socket: socket.into(), warnings: Arc::default() })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) async fn call<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        let bytes = match self.attempt(&request).await {
            Err(Failure::Cut(cut)) if request.repeatable => match self.attempt(&request).await {
                // It was asked before, and may have been done before the daemon went.
                Err(Failure::Absent(_)) => Err(Failure::Cut(cut)),
                result => result,
            },
            result => result,
        };
        let bytes = bytes.map_err(|failure| {
            let unknown = matches!(failure, Failure::Cut(_) | Failure::Slow(_));
            let error = self.failed(failure);
            match &request.name {
                Some(id) if unknown => error.with_hint(format!(
                    "whether it was done is not known: ask again under the request id {id}, and it is done once"
                )),
                _ => error,
            }
        })?;
        serde_json::from_slice(&bytes).map_err(|error| self.foreign().with_source(error))
    }

    async fn attempt(&self, request: &Request) -> Result<Vec<u8>, Failure> {
        let mut builder = self.client.request(request.method.clone(), request.url.clone()).timeout(request.time);
        if let Some(body) = &request.body {
            builder = builder.header("content-type", "application/json").body(body.clone());
        }
        let response = builder.send().await.map_err(Failure::from)?;
        self.take_warnings(&response);
        let ok = response.status().is_success();
        let bytes = response.bytes().await.map_err(Failure::from)?;
        if ok { Ok(bytes.into()) } else { Err(Failure::Answer(bytes.into())) }
    }

    /// Opens a stream. It has no end in time; its reader watches for signs of life.
    pub(super) async fn stream(&self, path: &str, query: &impl Serialize) -> Result<reqwest::Response, Error> {
        let send = self.client.get(url(path, query)?).header("accept", "text/event-stream").send();
        let response = match tokio::time::timeout(CALL, send).await {
            Ok(response) => response.map_err(|error| self.failed(error.into()))?,
            Err(_) => return Err(self.silent()),
        };
        self.take_warnings(&response);
        if response.status().is_success() {
            return Ok(response);
        }
        let bytes = response.bytes().await.map_err(|error| self.failed(error.into()))?;
        Err(self.failed(Failure::Answer(bytes.into())))
    }

    /// Warnings that came with the last answer.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take_warnings(&self, response: &reqwest::Response) {
        let header = response.headers().get(WARNING_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let warnings = header.split(',').filter(|warning| !warning.is_empty()).map(str::to_owned).collect();
        *self.warnings.lock().unwrap_or_else(PoisonError::into_inner) = warnings;
    }

    fn failed(&self, failure: Failure) -> Error {
        match failure {
            Failure::Answer(body) => match serde_json::from_slice::<api::ErrorBody>(&body) {
                Ok(body) => body.into(),
                Err(error) => self.foreign().with_source(error),
            },
            Failure::Absent(error) => no_daemon(&self.socket).with_source(error),
            Failure::Slow(error) => self.silent().with_source(error),
            Failure::Cut(error) => {
                Error::new(ErrorKind::Unreachable, "the daemon ended the connection before it answered")
                    .with_hint("see `claudemesh status`; the daemon may have been restarted")
                    .with_source(error)
            }
        }
    }

    fn silent(&self) -> Error {
        Error::new(ErrorKind::Unreachable, format!("the daemon on {} does not answer", self.socket.display()))
            .with_hint("stop it with `claudemesh down`, and look at its log")
    }

    fn foreign(&self) -> Error {
        Error::new(ErrorKind::Unreachable, format!("what answers on {} is no claudemesh daemon", self.socket.display()))
            .with_hint("a daemon of another version may run: stop it with `claudemesh down`")
    }
}

/// Why there is no value.
#[derive(Debug)]
enum Failure {
    /// An error body.
    Answer(Vec<u8>),
    /// Nobody listens.
    Absent(reqwest::Error),
    /// No answer in time.
    Slow(reqwest::Error),
    /// The connection broke; what was asked may have been done.
    Cut(reqwest::Error),
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        // The address is always the same, and the query may name people.
        let error = error.without_url();
        if error.is_connect() {
            Self::Absent(error)
        } else if error.is_timeout() {
            Self::Slow(error)
        } else {
            Self::Cut(error)
        }
    }
}

fn url(path: &str, query: &impl Serialize) -> Result<Url, Error> {
    let internal = |what: &str| Error::new(ErrorKind::Internal, format!("the local address {what}"));
    let mut url = Url::parse("http://daemon").map_err(|error| internal("is wrong").with_source(error))?;
    url.set_path(path);
    let query = serde_json::to_value(query).map_err(|error| internal("has a bad query").with_source(error))?;
    for (name, value) in query.as_object().into_iter().flatten() {
        match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => url.query_pairs_mut().append_pair(name, text),
            other => url.query_pairs_mut().append_pair(name, &other.to_string()),
        };
    }
    Ok(url)
}
