//! Conversations and shared knowledge over the local API.

use std::time::Duration;

use futures_util::FutureExt;

use super::Attached;
use super::http::{FAR_CALL, Request};
use crate::api;
use crate::local::MeshParams;
use crate::service::{Call, MeshSelector, Rooms, room_calls};

macro_rules! time {
    (near, $request:ident) => {
        Duration::ZERO
    };
    (far, $request:ident) => {
        FAR_CALL
    };
    (waits, $request:ident) => {
        Duration::from_millis($request.wait_ms)
    };
}

macro_rules! attach {
    ($($(#[$doc:meta])* $name:ident($request:ident) -> $answer:ident, $path:literal, $manner:ident;)*) => {
        impl Rooms for Attached {
            $(fn $name<'a>(&'a self, mesh: MeshSelector<'a>, request: api::$request) -> Call<'a, api::$answer> {
                async move {
                    let time = time!($manner, request);
                    self.http.call(Request::post($path, &MeshParams::new(mesh))?.body(&request)?.within(time)).await
                }
                .boxed()
            })*
        }
    };
}
room_calls!(attach);
