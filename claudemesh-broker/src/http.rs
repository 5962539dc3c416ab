//! The broker's HTTP side: health, and what a browser sees that follows an invite link.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::engine::Engine;

const INVITE_TEXT: &str = "This is an invitation to a claudemesh. Join with:\n\n    claudemesh join LINK\n\n\
    where LINK is the whole address you followed. Nothing of it after the # was sent here.\n";

#[derive(serde::Serialize)]
struct Health {
    status: &'static str,
}

#[derive(serde::Serialize)]
struct Unavailable {
    status: &'static str,
    reason: &'static str,
}

#[derive(serde::Serialize)]
struct Ready {
    status: &'static str,
    schema: u32,
    commits: u64,
    meshes: u64,
    connections: usize,
}

/// The process runs.
pub(crate) async fn health() -> Response {
    Json(Health { status: "ok" }).into_response()
}

/// The broker can do its work: the store answers and can be written.
pub(crate) async fn ready(State(engine): State<Engine>) -> Response {
    let store = engine.store();
    let meta = match store.writable().await {
        Ok(()) => store.meta().await,
        Err(error) => Err(error),
    };
    match meta {
        Ok(meta) => Json(Ready {
            status: "ready",
            schema: meta.schema,
            commits: meta.commit,
            meshes: meta.meshes,
            connections: engine.connections(),
        })
        .into_response(),
        Err(error) => {
            // The log has it once already, and probes come all the time.
            tracing::debug!(%error, "not ready");
            let body = Unavailable { status: "unavailable", reason: error.word() };
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// The place an invite link names. What makes the link a link never gets here.
pub(crate) async fn invite() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, INVITE_TEXT).into_response()
}
