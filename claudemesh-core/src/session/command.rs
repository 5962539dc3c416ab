//! What a user can ask of a session.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::logs::LogPolicy;
use super::{Append, Context, Session};
use crate::envelope::{ClaimState, Priority};
use crate::id::{DeviceId, LogId, MemberId, MessageId};
use crate::log::Record;
use crate::presence::Status;

/// What a user can ask for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Sends a text.
    Send(Outgoing),
    /// Tells senders that their messages were read. Marking twice is harmless.
    Read(Vec<(DeviceId, MessageId)>),
    /// Tells senders what became of their messages in one of this device's sessions.
    Claim {
        /// Sending devices and messages.
        messages: Vec<(DeviceId, MessageId)>,
        /// What. Of [`ClaimState::Read`] they are marked, as by [`Command::Read`].
        state: ClaimState,
        /// The session.
        session: Option<String>,
    },
    /// Appends to the roster; answered by [`super::Notice::Appended`] under the same token.
    Append {
        /// Names the request.
        token: u64,
        /// What.
        append: Append,
    },
    /// Sets the status and summary shown to peers.
    SetStatus(Status),
    /// Sets the own name in the directory.
    SetName(String),
    /// Sets the mesh's label for all; admins and owners.
    SetLabel(String),
    /// Follows a log, or changes who may read it.
    OpenLog {
        /// The log.
        log: LogId,
        /// Who may read it, when this device has to say.
        policy: LogPolicy,
    },
    /// Follows a log no longer.
    CloseLog(LogId),
    /// Says who has left a private log and is to lose it: with the next write, or soon when this device leads. Holds until
    /// the log's next epoch; whoever a policy set later names is let in all the same.
    LeaversOfLog {
        /// The log.
        log: LogId,
        /// Those who left, all of them.
        members: BTreeSet<MemberId>,
        /// Whether to begin an epoch for it although nothing is to be written.
        leads: bool,
    },
    /// Tells members that a private log is open to them.
    InviteToLog {
        /// The log.
        log: LogId,
        /// The members.
        members: Vec<MemberId>,
    },
    /// Drops entries of a log at the broker; admins and owners. Answered by [`super::Notice::Written`] under the same token, with
    /// [`crate::wire::ErrorCode::OffsetMoved`] when the log is not what it was any more.
    Compact {
        /// Names the request.
        token: u64,
        /// The log.
        log: LogId,
        /// What to drop: entries with records, at most [`crate::log::MAX_COMPACTED`].
        offsets: Vec<u64>,
        /// The last offset of the log for which this was decided.
        tail: u64,
    },
    /// Writes a record to a log; answered by [`super::Notice::Written`] under the same token.
    Write {
        /// Names the request.
        token: u64,
        /// The log.
        log: LogId,
        /// The record.
        record: Record,
    },
}

/// A text to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Message id.
    pub id: MessageId,
    /// Members addressed: one, or those of a group; at most [`crate::envelope::MAX_RECIPIENTS`].
    pub to: Vec<MemberId>,
    /// Session addressed.
    pub session: Option<String>,
    /// Sending session.
    pub from_session: Option<String>,
    /// Text.
    pub text: String,
    /// Priority; it is also the lane.
    pub priority: Priority,
    /// The message answered.
    pub reply_to: Option<MessageId>,
    /// Milliseconds it may wait for its recipient.
    pub ttl: u64,
}

impl Session {
    pub(super) fn on_command<R: CryptoRng>(&mut self, command: Command, cx: &mut Context<'_, R>) {
        match command {
            Command::Send(outgoing) => self.send_text(outgoing, cx),
            Command::Read(messages) => self.claim(messages, ClaimState::Read, None, cx),
            Command::Claim { messages, state, session } => self.claim(messages, state, session, cx),
            Command::Append { token, append } => self.request_append(token, append, cx),
            Command::SetStatus(status) => self.set_status(status, cx),
            Command::SetName(name) => self.name = Some(name),
            Command::SetLabel(label) => self.wished_label = Some(label),
            Command::OpenLog { log, policy } => self.open_log(log, policy, cx),
            Command::CloseLog(log) => self.close_log(log, cx),
            Command::LeaversOfLog { log, members, leads } => self.note_leavers(log, members, leads),
            Command::InviteToLog { log, members } => self.invite_to_log(log, &members, cx),
            Command::Compact { token, log, offsets, tail } => self.compact_log(token, log, offsets, tail, cx),
            Command::Write { token, log, record } => self.write_record(token, log, record, cx),
        }
    }
}
