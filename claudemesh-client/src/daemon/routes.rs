//! The routes, one per call of [`Service`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Json, Router};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::watch;

use super::extract::{ApiError, Params, Payload};
use super::{rooms, sessions, until};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::local::{
    Done, EventsParams, FRAME_END, FRAME_ERROR, InboxParams, InviteName, KEEP_ALIVE, Label, MemberName, MemberRole,
    MeshParams, MessageParams, NoParams, PeersParams, Version, WARNING_HEADER, route,
};
use crate::service::Service;

pub(super) type Reply<T> = Result<Json<T>, ApiError>;

#[derive(Clone)]
pub(super) struct App {
    pub(super) service: Arc<dyn Service>,
    stop: watch::Sender<bool>,
}

pub(super) fn router(service: Arc<dyn Service>, stop: watch::Sender<bool>) -> Router {
    let routes: [(&str, MethodRouter<App>); 22] = [
        (route::UP, post(up)),
        (route::JOIN, post(join)),
        (route::MESHES, get(meshes)),
        (route::MESH_USE, post(mesh_use)),
        (route::MESH_RENAME, post(mesh_rename)),
        (route::MESH_LEAVE, post(mesh_leave)),
        (route::MESH_DELETE, post(mesh_delete)),
        (route::WHOAMI, get(whoami)),
        (route::INVITES, post(invite).get(invites)),
        (route::INVITE_REVOKE, post(invite_revoke)),
        (route::SEND, post(send)),
        (route::WAIT, post(wait)),
        (route::MESSAGE, get(message_status)),
        (route::INBOX, get(inbox)),
        (route::READ, post(mark_read)),
        (route::PEERS, get(peers)),
        (route::PRESENCE, post(set_presence)),
        (route::MEMBERS, get(members)),
        (route::MEMBER_REMOVE, post(member_remove)),
        (route::MEMBER_ROLE, post(member_role)),
        (route::EVENTS, get(events)),
        (route::ACK, post(ack)),
    ];
    let router = routes.into_iter().fold(Router::new(), |router, (path, method)| router.route(path, method));
    sessions::routes(rooms::routes(router))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&service), warn))
        .route(route::VERSION, get(version))
        .route(route::STATUS, get(status))
        .route(route::SHUTDOWN, post(shutdown))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(axum::middleware::from_fn(log))
        .with_state(App { service, stop })
}

impl App {
    /// Makes a call that runs to its end even if the caller goes away: half a join or half a send helps nobody. A
    /// panic becomes an answer.
    pub(super) async fn call<T, F>(&self, call: impl FnOnce(Arc<dyn Service>) -> F) -> Reply<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        match tokio::spawn(call(Arc::clone(&self.service))).await {
            Ok(result) => Ok(Json(result?)),
            Err(error) => {
                tracing::error!(%error, "a call failed");
                let error = Error::new(ErrorKind::Internal, "the daemon failed on this request");
                Err(error.with_hint("its log has the details").into())
            }
        }
    }

    /// Makes a call that waits. It ends with its caller, or when the daemon stops.
    pub(super) async fn wait<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Reply<T> {
        tokio::select! {
            result = call => Ok(Json(result?)),
            () = until(self.stop.subscribe()) => {
                Err(Error::new(ErrorKind::Unreachable, "the daemon is being stopped").into())
            }
        }
    }
}

fn named(params: MeshParams) -> Result<String, ApiError> {
    params.mesh.ok_or_else(|| ApiError::usage(StatusCode::BAD_REQUEST, "this route needs the parameter `mesh`"))
}

async fn version(Params(NoParams {}): Params<NoParams>) -> Json<Version> {
    Json(Version::own())
}

async fn status(State(app): State<App>, Params(NoParams {}): Params<NoParams>) -> Reply<api::Status> {
    app.call(|service| async move { service.status().await }).await
}

async fn up(
    State(app): State<App>,
    Params(NoParams {}): Params<NoParams>,
    Payload(request): Payload<api::UpRequest>,
) -> Result<(Extension<About>, Json<api::UpReply>), ApiError> {
    let reply = app.call(|service| async move { service.up(request).await }).await?;
    Ok((Extension(About(reply.mesh.id.clone())), reply))
}

async fn join(
    State(app): State<App>,
    Params(NoParams {}): Params<NoParams>,
    Payload(request): Payload<api::JoinRequest>,
) -> Result<(Extension<About>, Json<api::JoinReply>), ApiError> {
    let reply = app.call(|service| async move { service.join(request).await }).await?;
    Ok((Extension(About(reply.mesh.id.clone())), reply))
}

async fn meshes(State(app): State<App>, Params(NoParams {}): Params<NoParams>) -> Reply<api::Meshes> {
    app.call(|service| async move { service.meshes().await }).await
}

async fn mesh_use(State(app): State<App>, Params(params): Params<MeshParams>) -> Reply<api::MeshInfo> {
    let mesh = named(params)?;
    app.call(|service| async move { service.mesh_use(&mesh).await }).await
}

async fn mesh_rename(
    State(app): State<App>,
    Params(params): Params<MeshParams>,
    Payload(Label { label }): Payload<Label>,
) -> Reply<api::MeshInfo> {
    let mesh = named(params)?;
    app.call(|service| async move { service.mesh_rename(&mesh, &label).await }).await
}

async fn mesh_leave(State(app): State<App>, Params(params): Params<MeshParams>) -> Reply<api::MeshInfo> {
    let mesh = named(params)?;
    app.call(|service| async move { service.mesh_leave(&mesh).await }).await
}

async fn mesh_delete(State(app): State<App>, Params(params): Params<MeshParams>) -> Reply<api::MeshInfo> {
    let mesh = named(params)?;
    app.call(|service| async move { service.mesh_delete(&mesh).await }).await
}

async fn whoami(State(app): State<App>, Params(MeshParams { mesh }): Params<MeshParams>) -> Reply<api::WhoAmI> {
    app.call(|service| async move { service.whoami(mesh.as_deref()).await }).await
}

async fn invite(
    State(app): State<App>,
    Params(MeshParams { mesh }): Params<MeshParams>,
    Payload(request): Payload<api::InviteRequest>,
) -> Reply<api::Invite> {
    app.call(|service| async move { service.invite(mesh.as_deref(), request).await }).await
}

async fn invites(State(app): State<App>, Params(MeshParams { mesh }): Params<MeshParams>) -> Reply<api::Invites> {
    app.call(|service| async move { service.invites(mesh.as_deref()).await }).await
}

async fn invite_revoke(
    State(app): State<App>,
    Params(MeshParams { mesh }): Params<MeshParams>,
    Payload(InviteName { id }): Payload<InviteName>,
) -> Reply<api::Invite> {
    app.call(|service| async move { service.invite_revoke(mesh.as_deref(), &id).await }).await
}

async fn send(
    State(app): State<App>,
    Params(MeshParams { mesh }): Params<MeshParams>,
    Payload(request): Payload<api::SendRequest>,
) -> Reply<api::Sent> {
    app.call(|service| async move { service.send(mesh.as_deref(), request).await }).await
}

async fn wait(
    State(app): State<App>,
    Params(MeshParams { mesh }): Params<MeshParams>,
    Payload(request): Payload<api::WaitRequest>,
) -> Reply<api::Sent> {
    app.wait(app.service.wait(mesh.as_deref(), request)).await
}

async fn message_status(
    State(app): State<App>,
    Params(MessageParams { mesh, id }): Params<MessageParams>,
) -> Reply<api::MessageStatus> {
    app.call(|service| async move { service.message_status(mesh.as_deref(), &id).await }).await
}

async fn inbox(State(app): State<App>, Params(params): Params<InboxParams>) -> Reply<api::Inbox> {
    let (mesh, query) = params.split();
    app.wait(app.service.inbox(mesh.as_deref(), query)).await
}

async fn mark_read(
    State(app): State<App>,
    Params(MeshParams { mesh }): Params<MeshParams>,
    Payload(request): Payload<api::ReadRequest>,
) -> Reply<Done> {
    app.call(|service| async move { service.mark_read(mesh.as_deref(), request).await.map(|()| Done {}) }).await
}

async fn peers(State(app): State<App>, Params(PeersParams { mesh, all }): Params<PeersParams>) -> Reply<api::Peers> {
    app.call(|service| async move { service.peers(mesh.as_deref(), all).await }).await
}

async fn set_presence(
    State(app): State<App>,
    Params(MeshParams { mesh }): Params<MeshParams>,
    Payload(request): Payload<api::PresenceRequest>,
) -> Reply<api::WhoAmI> {
    app.call(|service| async move { service.set_presence(mesh.as_deref(), request).await }).await
}

async fn members(State(app): State<App>, Params(MeshParams { mesh }): Params<MeshParams>) -> Reply<api::Members> {
    app.call(|service| async move { service.members(mesh.as_deref()).await }).await
}

async fn member_remove(
    State(app): State<App>,
    Params(MeshParams { mesh }): Params<MeshParams>,
    Payload(MemberName { member }): Payload<MemberName>,
) -> Reply<api::MemberChange> {
    app.call(|service| async move { service.member_remove(mesh.as_deref(), &member).await }).await
}

async fn member_role(
    State(app): State<App>,
    Params(MeshParams { mesh }): Params<MeshParams>,
    Payload(MemberRole { member, role }): Payload<MemberRole>,
) -> Reply<api::MemberChange> {
    app.call(|service| async move { service.member_role(mesh.as_deref(), &member, &role).await }).await
}

async fn ack(
    State(app): State<App>,
    Params(MeshParams { mesh }): Params<MeshParams>,
    Payload(request): Payload<api::AckRequest>,
) -> Reply<Done> {
    app.call(|service| async move { service.ack(mesh.as_deref(), request).await.map(|()| Done {}) }).await
}

/// Answers first: the connection that carries the answer is the last thing the daemon waits for.
async fn shutdown(State(app): State<App>, Params(NoParams {}): Params<NoParams>) -> Json<Done> {
    app.stop.send_replace(true);
    Json(Done {})
}

/// The feed. A stream that ends without the frame `end` was cut, and its reader may come again with `after`, or as
/// browsers do with `Last-Event-ID`.
async fn events(
    State(app): State<App>,
    Params(params): Params<EventsParams>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let (mesh, mut query) = params.split();
    if let Some(last) = headers.get("last-event-id") {
        let last = last.to_str().ok().and_then(|text| text.parse().ok());
        query.after =
            Some(last.ok_or_else(|| {
                ApiError::usage(StatusCode::BAD_REQUEST, "the header Last-Event-ID is not a position")
            })?);
    }
    let records = app.service.events(mesh.as_deref(), query).await?;
    let frames = stream::once(async { Event::default().comment("claudemesh") })
        .chain(records.map(frame))
        .chain(stream::once(async { Event::default().event(FRAME_END).data("{}") }))
        .take_until(until(app.stop.subscribe()))
        .map(Ok);
    Ok(Sse::new(frames).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn frame(record: Result<api::EventRecord, Error>) -> Event {
    let frame = match &record {
        Ok(record) => Event::default().id(record.position.to_string()).json_data(record),
        Err(error) => Event::default().event(FRAME_ERROR).json_data(api::ErrorBody::from(error)),
    };
    frame.unwrap_or_else(|error| {
        tracing::error!(%error, "an event could not be written as JSON");
        Event::default().comment("unwritable event")
    })
}

async fn unknown_route() -> ApiError {
    ApiError::usage(StatusCode::NOT_FOUND, "the daemon has no such route")
}

async fn unknown_method() -> ApiError {
    ApiError::usage(StatusCode::METHOD_NOT_ALLOWED, "this route does not take that method")
}

/// The mesh an answer is about, where the request names none.
#[derive(Clone)]
struct About(String);

/// Puts the warnings of the mesh on every answer about it, whatever was asked. `status` has them in its body.
async fn warn(State(service): State<Arc<dyn Service>>, request: Request, next: Next) -> Response {
    let named = Query::<BTreeMap<String, String>>::try_from_uri(request.uri());
    let named = named.ok().and_then(|Query(mut query)| query.remove("mesh"));
    let mut response = next.run(request).await;
    let mesh = response.extensions().get::<About>().map(|About(mesh)| mesh.clone()).or(named);
    let warnings = service.warnings(mesh.as_deref()).await.join(",");
    if !warnings.is_empty()
        && let Ok(value) = HeaderValue::try_from(warnings)
    {
        response.headers_mut().insert(WARNING_HEADER, value);
    }
    response
}

/// Logs route, outcome and time. Queries and bodies hold what people wrote; a path nobody knows could, too.
async fn log(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let start = Instant::now();
    let response = next.run(request).await.into_response();
    let status = response.status();
    let path = if status == StatusCode::NOT_FOUND { "(unknown)" } else { &path };
    tracing::debug!(%method, path, status = status.as_u16(), micros = start.elapsed().as_micros(), "request");
    response
}
