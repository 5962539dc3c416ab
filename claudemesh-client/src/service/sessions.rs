//! The calls of sessions that hosts run on this device, in one table as those of [`super::rooms`].

use super::{Call, MeshSelector};
use crate::api;

/// Hands the table to a macro; its columns are those of `room_calls`.
macro_rules! session_calls {
    ($make:ident) => {
        $make! {
            Sessions;
            /// Registers a session, or finds the one that runs there; in the mesh named, else in all of the home.
            session_register(SessionRegister) -> HostSession, "/v1/sessions/register", near;
            /// The sessions of this device.
            sessions(SessionsQuery) -> HostSessions, "/v1/sessions", near;
            /// Says what happens in a session; what is not known yet is registered.
            session_event(SessionEvent) -> SessionAnswer, "/v1/sessions/event", near;
            /// What is to be handed to a session.
            session_notices(NoticesQuery) -> Notices, "/v1/sessions/notices", waits;
            /// Messages for a session. Marks nothing.
            session_take(TakeQuery) -> Taken, "/v1/sessions/take", near;
            /// How much sessions are told without their users saying anything; changes it.
            session_limits(LimitsRequest) -> SessionLimits, "/v1/sessions/limits", near;
            /// Permits a member to write to sessions that ask their user for nothing.
            session_permit(PermitRequest) -> Permits, "/v1/sessions/permit", near;
        }
    };
}
pub(crate) use session_calls;

macro_rules! define {
    ($trait:ident; $($(#[$doc:meta])* $name:ident($request:ident) -> $answer:ident, $path:literal, $manner:ident;)*) => {
        /// Sessions that hosts run on this device, and what is handed to them.
        ///
        /// Each call returns typed errors ([`crate::ErrorKind`]); none panics on any input.
        pub trait $trait: Send + Sync {
            $($(#[$doc])* fn $name<'a>(
                &'a self,
                mesh: MeshSelector<'a>,
                request: api::$request,
            ) -> Call<'a, api::$answer>;)*
        }
    };
}
session_calls!(define);
