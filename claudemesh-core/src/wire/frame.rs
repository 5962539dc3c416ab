//! Frames: one WebSocket message each. Numbers are never reused.

use alloc::string::String;
use alloc::vec::Vec;

use minicbor::{Decode, Encode};

use super::code::{Closing, ErrorCode};
use super::handshake::Resume;
use super::item::{Delivered, DevicePresence, LogTail, NumberedNotice, Outcome};
use crate::codec::{self, Bytes, HashBytes, List};
use crate::head::RosterHead;
use crate::id::{DeviceId, LogId};

/// Why bytes are no frame that this version handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Not a frame at all, or too large.
    #[error("malformed frame")]
    Malformed,
    /// A frame of a type, or with a critical key, that is not known. It names the request to answer, 0 for none.
    #[error("unsupported frame")]
    Unsupported {
        /// Request id of the frame.
        request: u64,
    },
    /// A known type whose fields do not fit.
    #[error("malformed fields")]
    BadFields {
        /// Request id of the frame.
        request: u64,
    },
}

#[derive(Decode)]
#[cbor(map)]
struct Prefix {
    #[n(0)]
    kind: u64,
    #[n(1)]
    request: u64,
    #[n(63)]
    critical: Option<List<u64, 16>>,
}

macro_rules! frames {
    ($($(#[$doc:meta])* $kind:literal $name:ident { $($(#[$fdoc:meta])* $key:literal $field:ident: $type:ty),* $(,)? })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $name { $($(#[$fdoc])* pub $field: $type),* }

            impl From<$name> for Body {
                fn from(body: $name) -> Self {
                    Self::$name(body)
                }
            }
        )+

        /// What a frame says.
        // A hello is the largest and passes once a connection: boxing it would only cost the common frames a match.
        #[allow(clippy::large_enum_variant)]
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Body { $($(#[$doc])* $name($name)),+ }

        impl Body {
            /// The frame's type number.
            #[must_use]
            pub const fn kind(&self) -> u64 {
                match self { $(Self::$name(_) => $kind),+ }
            }

            /// The frame's name, for logs and counters.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name)),+ }
            }
        }

        mod raw {
            use super::*;
            $(
                #[derive(Encode, Decode)]
                #[cbor(map)]
                pub(super) struct $name {
                    #[n(0)]
                    pub(super) kind: u64,
                    #[n(1)]
                    pub(super) request: u64,
                    $(#[n($key)] pub(super) $field: $type),*
                }
            )+
        }

        fn encode_frame(frame: Frame) -> Vec<u8> {
            let request = frame.request;
            match frame.body {
                $(Body::$name($name { $($field),* }) => codec::encode(&raw::$name { kind: $kind, request, $($field),* })),+
            }
        }

        fn decode_body(prefix: &Prefix, bytes: &[u8]) -> Result<Body, FrameError> {
            let request = prefix.request;
            let known: &[u64] = match prefix.kind {
                $($kind => &[0, 1, 63, $($key),*],)+
                _ => return Err(FrameError::Unsupported { request }),
            };
            if prefix.critical.as_ref().is_some_and(|keys| keys.iter().any(|key| !known.contains(key))) {
                return Err(FrameError::Unsupported { request });
            }
            match prefix.kind {
                $($kind => {
                    let raw::$name { kind: _, request: _, $($field),* } =
                        codec::decode(bytes).map_err(|_| FrameError::BadFields { request })?;
                    Ok(Body::$name($name { $($field),* }))
                })+
                _ => Err(FrameError::Unsupported { request }),
            }
        }
    };
}

frames! {
    /// The broker's opening.
    1 Challenge {
        /// Fresh random bytes.
        2 nonce: HashBytes,
        /// The broker's public key.
        3 key: HashBytes,
        /// Versions spoken.
        4 versions: List<u64, 16>,
        /// Capabilities.
        5 capabilities: List<u64, 64>,
    }
    /// The client's proof of its device.
    2 Hello {
        /// The mesh.
        2 mesh: crate::id::MeshId,
        /// 0 device, 1 join, 2 create.
        3 mode: u64,
        /// Device public key.
        4 key: HashBytes,
        /// Fresh random bytes.
        5 nonce: HashBytes,
        /// Version chosen.
        6 version: u64,
        /// Capabilities.
        7 capabilities: List<u64, 64>,
        /// Signature of the device key.
        8 signature: crate::key::Signature,
        /// Mode join: the invite.
        9 invite: Option<crate::id::InviteId>,
        /// Mode join: signature of the invite key.
        10 invite_signature: Option<crate::key::Signature>,
        /// What the client had seen of this broker.
        11 resume: Option<Resume>,
    }
    /// The broker's proof and terms.
    3 WelcomeFrame {
        /// CBOR of the welcome body.
        2 body: Bytes,
        /// Signature of the broker key.
        3 signature: crate::key::Signature,
    }
    /// A refused request.
    4 Error {
        /// Why.
        2 code: ErrorCode,
        /// For people.
        3 detail: String,
        /// When to try again.
        4 retry_after_ms: Option<u64>,
    }
    /// A request done.
    5 Done {}
    /// Are you there?
    6 Ping {
        /// Echoed.
        2 time: u64,
    }
    /// I am.
    7 Pong {
        /// From the ping.
        2 time: u64,
    }
    /// The broker closes.
    8 Close {
        /// Why.
        2 code: Closing,
    }
    /// Appends a roster entry.
    10 RosterAppend {
        /// The entry.
        2 entry: Bytes,
    }
    /// Reads roster entries.
    11 RosterRange {
        /// First index.
        2 from: u64,
        /// How many at most.
        3 limit: u64,
    }
    /// Roster entries.
    12 RosterEntries {
        /// Consecutive entries.
        2 entries: List<Bytes, 1024>,
        /// The broker's head.
        3 head: RosterHead,
    }
    /// A new roster entry.
    13 RosterPush {
        /// Its index.
        2 index: u64,
        /// The entry.
        3 entry: Bytes,
    }
    /// Publishes the own device record.
    20 RecordPut {
        /// The record.
        2 record: Bytes,
    }
    /// Reads device records.
    21 RecordGet {
        /// Whose.
        2 devices: List<DeviceId, 512>,
    }
    /// Device records; devices without one are left out.
    22 Records {
        /// The records.
        2 records: List<Bytes, 512>,
    }
    /// Submits envelopes.
    30 Enqueue {
        /// Encoded submissions.
        2 submissions: List<Bytes, 64>,
    }
    /// What became of submitted envelopes.
    31 Enqueued {
        /// Per submission, per recipient.
        2 outcomes: List<List<Outcome, 512>, 64>,
        /// The broker's commit counter.
        3 commits: u64,
    }
    /// Envelopes for this device.
    32 Deliver {
        /// With mailbox offsets.
        2 items: List<Delivered, 64>,
    }
    /// Signed acknowledgement of deliveries.
    33 ReceiptPut {
        /// The receipt.
        2 receipt: Bytes,
    }
    /// What became of messages this device sent.
    34 Notices {
        /// In order.
        2 items: List<NumberedNotice, 256>,
    }
    /// Notices are durable here.
    35 NoticesDone {
        /// Last one.
        2 through: u64,
    }
    /// Appends a log entry.
    40 LogAppend {
        /// The entry.
        2 entry: Bytes,
        /// Only when the log's tail is here.
        3 expected: Option<u64>,
    }
    /// A log entry was appended.
    41 LogAppended {
        /// Where.
        2 offset: u64,
        /// Chain hash after it.
        3 chain: HashBytes,
        /// The broker's commit counter.
        4 commits: u64,
    }
    /// Reads a log.
    42 LogRange {
        /// The log.
        2 log: LogId,
        /// First offset.
        3 from: u64,
        /// How many at most.
        4 limit: u64,
        /// The reader's chain hash before `from`.
        5 hash: HashBytes,
    }
    /// Log entries.
    43 LogEntries {
        /// The log.
        2 log: LogId,
        /// Offset of the first.
        3 from: u64,
        /// Entries, or the bare hash of a compacted one (32 bytes).
        4 entries: List<Bytes, 1024>,
        /// Last offset of the log.
        5 tail: u64,
    }
    /// Reads a log and whatever follows.
    44 LogFollow {
        /// The log.
        2 log: LogId,
        /// First offset.
        3 from: u64,
        /// The reader's chain hash before `from`.
        4 hash: HashBytes,
    }
    /// A followed log grew.
    45 LogPush {
        /// The log.
        2 log: LogId,
        /// Offset.
        3 offset: u64,
        /// The entry.
        4 entry: Bytes,
    }
    /// Lists the logs this device may read.
    46 LogList {}
    /// Logs.
    47 Logs {
        /// The logs.
        2 logs: List<LogTail, 4096>,
    }
    /// Publishes presence.
    50 PresencePut {
        /// Signed presence.
        2 presence: Bytes,
        /// Seconds it holds without renewal.
        3 lease: u64,
    }
    /// Presence of devices.
    51 PresencePush {
        /// The devices.
        2 devices: List<DevicePresence, 4096>,
    }
}

/// One WebSocket message.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Names a request and its reply; 0 when unsolicited.
    pub request: u64,
    /// What it says.
    pub body: Body,
}

impl Frame {
    /// A frame nobody asked for.
    #[must_use]
    pub fn push(body: impl Into<Body>) -> Self {
        Self { request: 0, body: body.into() }
    }

    /// A request, or the reply to it.
    #[must_use]
    pub fn new(request: u64, body: impl Into<Body>) -> Self {
        Self { request, body: body.into() }
    }

    /// The frame's bytes.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        encode_frame(self)
    }

    /// Reads a frame. Size is checked first, then the prefix, then the fields.
    ///
    /// # Errors
    /// [`FrameError`]; it names the request to answer where there is one.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        if bytes.len() > super::MAX_FRAME {
            return Err(FrameError::Malformed);
        }
        let prefix: Prefix = codec::decode(bytes).map_err(|_| FrameError::Malformed)?;
        let body = decode_body(&prefix, bytes)?;
        Ok(Self { request: prefix.request, body })
    }
}
