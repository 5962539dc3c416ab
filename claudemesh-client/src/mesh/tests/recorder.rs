//! A far end that writes down what it is asked and answers as it was told.

use std::collections::VecDeque;
use std::sync::Mutex;

use futures_util::FutureExt;
use futures_util::stream::BoxStream;
use serde_json::Value;

use crate::api;
use crate::error::{Error, ErrorKind};
use crate::service::{Call, MeshSelector, Rooms, Service, Sessions, room_calls, session_calls};

/// The far end.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    asked: Mutex<Vec<(&'static str, Value)>>,
    answers: Mutex<VecDeque<Value>>,
}

impl Recorder {
    /// The next call that has no answer yet gets this one.
    pub(super) fn answer(&self, answer: Value) {
        self.answers.lock().unwrap().push_back(answer);
    }

    /// What was asked since the last time, each without the fields that are null.
    pub(super) fn asked(&self) -> Vec<(&'static str, Value)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn record<T: serde::de::DeserializeOwned>(&self, call: &'static str, request: Value) -> Result<T, Error> {
        let mut request = request;
        if let Some(fields) = request.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        self.asked.lock().unwrap().push((call, request));
        let answer = self.answers.lock().unwrap().pop_front();
        let answer = answer.ok_or_else(|| Error::new(ErrorKind::Internal, "no answer is left"))?;
        Ok(serde_json::from_value(answer).unwrap())
    }
}

macro_rules! record {
    ($trait:ident; $($(#[$doc:meta])* $name:ident($request:ident) -> $answer:ident, $path:literal, $manner:ident;)*) => {
        impl $trait for Recorder {
            $(fn $name<'a>(&'a self, _: MeshSelector<'a>, request: api::$request) -> Call<'a, api::$answer> {
                async move { self.record(stringify!($name), serde_json::to_value(request).unwrap()) }.boxed()
            })*
        }
    };
}
room_calls!(record);
session_calls!(record);

type Feed = BoxStream<'static, Result<api::EventRecord, Error>>;

macro_rules! absent {
    ($($name:ident($($argument:ty),*) -> $answer:ty;)*) => {
        impl Service for Recorder {
            $(fn $name<'a>(&'a self, $(_: $argument),*) -> Call<'a, $answer> {
                async { Err(Error::new(ErrorKind::Internal, "this far end knows only rooms")) }.boxed()
            })*
        }
    };
}

absent! {
    status() -> api::Status;
    up(api::UpRequest) -> api::UpReply;
    join(api::JoinRequest) -> api::JoinReply;
    meshes() -> api::Meshes;
    mesh_use(&'a str) -> api::MeshInfo;
    mesh_rename(&'a str, &'a str) -> api::MeshInfo;
    mesh_leave(&'a str) -> api::MeshInfo;
    mesh_delete(&'a str) -> api::MeshInfo;
    whoami(MeshSelector<'a>) -> api::WhoAmI;
    invite(MeshSelector<'a>, api::InviteRequest) -> api::Invite;
    invites(MeshSelector<'a>) -> api::Invites;
    invite_revoke(MeshSelector<'a>, &'a str) -> api::Invite;
    send(MeshSelector<'a>, api::SendRequest) -> api::Sent;
    wait(MeshSelector<'a>, api::WaitRequest) -> api::Sent;
    message_status(MeshSelector<'a>, &'a str) -> api::MessageStatus;
    inbox(MeshSelector<'a>, api::InboxQuery) -> api::Inbox;
    mark_read(MeshSelector<'a>, api::ReadRequest) -> ();
    peers(MeshSelector<'a>, bool) -> api::Peers;
    set_presence(MeshSelector<'a>, api::PresenceRequest) -> api::WhoAmI;
    members(MeshSelector<'a>) -> api::Members;
    member_remove(MeshSelector<'a>, &'a str) -> api::MemberChange;
    member_role(MeshSelector<'a>, &'a str, &'a str) -> api::MemberChange;
    events(MeshSelector<'a>, api::EventsQuery) -> Feed;
    ack(MeshSelector<'a>, api::AckRequest) -> ();
    shutdown() -> ();
}
