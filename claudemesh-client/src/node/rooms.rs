//! Conversations and shared knowledge of a running mesh.

use futures_util::FutureExt;

use super::Node;
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::service::{Call, MeshSelector, Rooms, room_calls};

macro_rules! unfinished {
    ($($(#[$doc:meta])* $name:ident($request:ident) -> $answer:ident, $path:literal, $manner:ident;)*) => {
        impl Rooms for Node {
            $(fn $name<'a>(&'a self, _: MeshSelector<'a>, _: api::$request) -> Call<'a, api::$answer> {
                async move { Err(Error::new(ErrorKind::Internal, "not there yet")) }.boxed()
            })*
        }
        impl Rooms for crate::testing::Fake {
            $(fn $name<'a>(&'a self, _: MeshSelector<'a>, _: api::$request) -> Call<'a, api::$answer> {
                async move { Err(Error::new(ErrorKind::Internal, "not there yet")) }.boxed()
            })*
        }
    };
}
room_calls!(unfinished);
