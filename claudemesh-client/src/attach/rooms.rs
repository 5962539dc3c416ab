//! Conversations and shared knowledge over the local API.

use std::time::Duration;

use futures_util::FutureExt;

use super::http::{FAR_CALL, Request};
use super::{Attached, fresh_id};
use crate::api;
use crate::local::MeshParams;
use crate::service::{Call, MeshSelector, Rooms, room_calls};

/// How a call is made: what only asks is repeated when the connection breaks, and so is what has a name of its own.
macro_rules! call {
    (near, $path:literal, $mesh:ident, $request:ident) => {
        Request::post($path, &MeshParams::new($mesh))?.body(&$request)?.repeatable()
    };
    (far, $path:literal, $mesh:ident, $request:ident) => {
        Request::post($path, &MeshParams::new($mesh))?.body(&$request)?.within(FAR_CALL)
    };
    (once, $path:literal, $mesh:ident, $request:ident) => {{
        let mut request = $request;
        let name = request.request_id.get_or_insert_with(fresh_id).clone();
        Request::post($path, &MeshParams::new($mesh))?.body(&request)?.within(FAR_CALL).named(name)
    }};
    (waits, $path:literal, $mesh:ident, $request:ident) => {
        call!(near, $path, $mesh, $request).within(Duration::from_millis($request.wait_ms))
    };
}

macro_rules! attach {
    ($trait:ident; $($(#[$doc:meta])* $name:ident($request:ident) -> $answer:ident, $path:literal, $manner:ident;)*) => {
        impl $trait for Attached {
            $(fn $name<'a>(&'a self, mesh: MeshSelector<'a>, request: api::$request) -> Call<'a, api::$answer> {
                async move { self.http.call(call!($manner, $path, mesh, request)).await }.boxed()
            })*
        }
    };
}
pub(super) use {attach, call};

room_calls!(attach);
