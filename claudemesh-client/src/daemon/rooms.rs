//! The routes of conversations and shared knowledge.

use axum::Router;
use axum::extract::State;
use axum::routing::post;

use super::extract::{Params, Payload};
use super::routes::{App, Reply};
use crate::api;
use crate::local::MeshParams;
use crate::service::room_calls;

macro_rules! answer {
    (waits, $app:ident, $mesh:ident, $name:ident, $request:ident) => {
        $app.wait($app.service.$name($mesh.as_deref(), $request)).await
    };
    ($manner:ident, $app:ident, $mesh:ident, $name:ident, $request:ident) => {
        $app.call(|service| async move { service.$name($mesh.as_deref(), $request).await }).await
    };
}

macro_rules! serve {
    ($trait:ident; $($(#[$doc:meta])* $name:ident($request:ident) -> $answer:ident, $path:literal, $manner:ident;)*) => {
        $(async fn $name(
            State(app): State<App>,
            Params(MeshParams { mesh }): Params<MeshParams>,
            Payload(request): Payload<api::$request>,
        ) -> Reply<api::$answer> {
            answer!($manner, app, mesh, $name, request)
        })*

        pub(super) fn routes(router: Router<App>) -> Router<App> {
            router$(.route($path, post($name)))*
        }
    };
}
pub(super) use {answer, serve};

room_calls!(serve);
