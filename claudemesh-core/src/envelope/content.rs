//! What an envelope says: plaintext, known to sender and recipients only. Its `Debug` prints sizes, never text.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use minicbor::decode::Error as DecodeError;
use minicbor::{Decode, Decoder, Encoder};
use zeroize::Zeroizing;

use super::parts::{Priority, coded};
use super::{MAX_ACTING, MAX_ADDRESSED, MAX_CLAIMS, MAX_PADDED, MAX_SESSION, MAX_TEXT};
use crate::codec::strict::{self, Read};
use crate::codec::{self, Bytes, Malformed};
use crate::id::{DeviceId, LogId, MemberId, MessageId};
use crate::time::Millis;

const TEXT: u64 = 0;
const CLAIM: u64 = 1;
const INVITATION: u64 = 2;

/// A content outside its bounds cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("content is outside its bounds")]
pub struct InvalidContent;

/// The kind of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentKind {
    /// A text message.
    Text,
    /// States of messages that the addressee sent.
    Claim,
    /// The addressee is to follow a log.
    Invitation,
    /// A kind this version does not know; kept, acknowledged, never shown as text.
    Unknown(u64),
}

impl ContentKind {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            Self::Text => TEXT,
            Self::Claim => CLAIM,
            Self::Invitation => INVITATION,
            Self::Unknown(code) => code,
        }
    }

    /// The kind with this number on the wire.
    #[must_use]
    pub const fn from_code(code: u64) -> Self {
        match code {
            TEXT => Self::Text,
            CLAIM => Self::Claim,
            INVITATION => Self::Invitation,
            other => Self::Unknown(other),
        }
    }
}

/// What a content carries, by kind.
#[derive(Clone, PartialEq, Eq)]
pub enum ContentBody {
    /// A text of 1 byte to [`MAX_TEXT`].
    Text(String),
    /// 1 to [`MAX_CLAIMS`] items.
    Claim(Vec<ClaimItem>),
    /// A log the addressee may read.
    Invitation(LogId),
    /// Bytes of a kind this version does not know.
    Unknown {
        /// The kind's number, at least 3.
        kind: u64,
        /// The bytes as they came.
        bytes: Bytes,
    },
}

impl fmt::Debug for ContentBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Claim(items) => write!(f, "Claim({} items)", items.len()),
            Self::Invitation(log) => write!(f, "Invitation({log:?})"),
            Self::Unknown { kind, bytes } => write!(f, "Unknown({kind}, {} bytes)", bytes.len()),
        }
    }
}

coded!(
    /// How far a message came on the recipient's side; the recipient's own claim.
    ClaimState {
        /// Handed to a session.
        Injected = 4,
        /// Read.
        Read = 5,
        /// Waits until the session is at rest.
        WaitsForTurn = 16,
        /// Waits until somebody asks for it.
        WaitsForAsking = 17,
        /// Waits while the session does not want to be disturbed.
        WaitsForQuiet = 18,
        /// Waits until the session's user permits its sender.
        WaitsForPermission = 19,
        /// Waits because of a limit between the two sessions.
        WaitsForLimit = 20,
    }
);

impl ClaimState {
    /// Why a message waits on the recipient's side; none when it does not.
    #[must_use]
    pub const fn wait(self) -> Option<&'static str> {
        match self {
            Self::Injected | Self::Read => None,
            Self::WaitsForTurn => Some("turn"),
            Self::WaitsForAsking => Some("low"),
            Self::WaitsForQuiet => Some("dnd"),
            Self::WaitsForPermission => Some("permission"),
            Self::WaitsForLimit => Some("limit"),
        }
    }
}

/// The state of one message, claimed by a device that received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimItem {
    /// The message; the addressee of the claim sent it.
    pub id: MessageId,
    /// The state reached.
    pub state: ClaimState,
    /// When, by the claimant's clock.
    pub at: Millis,
}

/// The plaintext of a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// The devices that act on the message, one of each member addressed; all others hold copies.
    pub acting: Vec<DeviceId>,
    /// The session it is meant for.
    pub target_session: Option<String>,
    /// The session that wrote it.
    pub sending_session: Option<String>,
    /// When it was sent: the sender's claim.
    pub sent_at: Millis,
    /// How urgent it is.
    pub priority: Priority,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// How often it was passed on; 0 at the origin.
    pub hops: u64,
    /// The members addressed.
    pub addressed: Vec<MemberId>,
    /// What it carries.
    pub body: ContentBody,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("acting", &self.acting).field("body", &self.body).finish_non_exhaustive()
    }
}

impl Content {
    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> ContentKind {
        match &self.body {
            ContentBody::Text(_) => ContentKind::Text,
            ContentBody::Claim(_) => ContentKind::Claim,
            ContentBody::Invitation(_) => ContentKind::Invitation,
            ContentBody::Unknown { kind, .. } => ContentKind::Unknown(*kind),
        }
    }

    /// Checks the bounds of every field.
    ///
    /// # Errors
    /// [`InvalidContent`] when the text is empty or too long, there is no acting device, a list or session id is too long,
    /// or an unknown body has the number of a known kind.
    pub fn check(&self) -> Result<(), InvalidContent> {
        let session_fits = |session: &Option<String>| session.as_ref().is_none_or(|id| id.len() <= MAX_SESSION);
        let body_fits = match &self.body {
            ContentBody::Text(text) => (1..=MAX_TEXT).contains(&text.len()),
            ContentBody::Claim(items) => (1..=MAX_CLAIMS).contains(&items.len()),
            ContentBody::Invitation(_) => true,
            ContentBody::Unknown { kind, bytes } => *kind > INVITATION && bytes.len() <= MAX_TEXT,
        };
        let fits = body_fits
            && session_fits(&self.target_session)
            && session_fits(&self.sending_session)
            && (1..=MAX_ACTING).contains(&self.acting.len())
            && self.addressed.len() <= MAX_ADDRESSED;
        if fits { Ok(()) } else { Err(InvalidContent) }
    }

    /// The content's bytes, wiped on drop.
    ///
    /// # Errors
    /// [`InvalidContent`] as [`Content::check`] has it, or when the whole exceeds [`MAX_PADDED`].
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, InvalidContent> {
        self.check()?;
        let claims;
        let body: &[u8] = match &self.body {
            ContentBody::Text(text) => text.as_bytes(),
            ContentBody::Unknown { bytes, .. } => bytes,
            ContentBody::Invitation(log) => log.as_bytes(),
            ContentBody::Claim(items) => {
                claims = encode_claims(items);
                &claims
            }
        };
        // Room for everything: a buffer that grew would leave plaintext behind.
        let sessions = [&self.target_session, &self.sending_session].map(|id| id.as_ref().map_or(0, String::len));
        let room = 128 + sessions[0] + sessions[1] + (self.acting.len() + self.addressed.len()) * 34 + body.len();
        let mut out = Zeroizing::new(Vec::with_capacity(room));
        self.write(body, &mut Encoder::new(&mut *out))
            .unwrap_or_else(|_| unreachable!("encoding into memory cannot fail"));
        debug_assert!(out.len() <= room);
        if 4 + out.len() <= MAX_PADDED { Ok(out) } else { Err(InvalidContent) }
    }

    fn write(
        &self,
        body: &[u8],
        e: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<core::convert::Infallible>> {
        let optional = [self.target_session.is_some(), self.sending_session.is_some(), self.reply_to.is_some()];
        e.map(7 + optional.iter().filter(|present| **present).count() as u64)?;
        e.u8(0)?.u64(self.kind().code())?;
        e.u8(1)?.array(self.acting.len() as u64)?;
        for device in &self.acting {
            e.bytes(device.as_bytes())?;
        }
        if let Some(session) = &self.target_session {
            e.u8(2)?.str(session)?;
        }
        if let Some(session) = &self.sending_session {
            e.u8(3)?.str(session)?;
        }
        e.u8(4)?.u64(self.sent_at.0)?;
        e.u8(5)?.u64(self.priority.code())?;
        if let Some(id) = &self.reply_to {
            e.u8(6)?.bytes(id.as_bytes())?;
        }
        e.u8(7)?.u64(self.hops)?;
        e.u8(8)?.array(self.addressed.len() as u64)?;
        for member in &self.addressed {
            e.bytes(member.as_bytes())?;
        }
        e.u8(9)?.bytes(body)?.ok()
    }

    /// Reads a content.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are no content within its bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let content: Self = codec::decode(bytes)?;
        if content.check().is_ok() { Ok(content) } else { Err(Malformed) }
    }
}

impl<'b, C> Decode<'b, C> for Content {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Read<Self> {
        let (mut kind, mut acting, mut sent_at, mut priority) = (None, None, None, None);
        let (mut hops, mut addressed, mut body) = (None, None, None);
        let (mut target_session, mut sending_session, mut reply_to) = (None, None, None);
        strict::map(d, |key, d| {
            match key {
                0 => kind = Some(d.u64()?),
                1 => acting = Some(strict::list(d, (1, MAX_ACTING), |d| d.decode())?),
                2 => target_session = Some(d.str()?.into()),
                3 => sending_session = Some(d.str()?.into()),
                4 => sent_at = Some(Millis(d.u64()?)),
                5 => priority = Some(d.decode()?),
                6 => reply_to = Some(d.decode()?),
                7 => hops = Some(d.u64()?),
                8 => addressed = Some(strict::list(d, (0, MAX_ADDRESSED), |d| d.decode())?),
                9 => body = Some(d.bytes()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self {
            acting: strict::need(acting)?,
            target_session,
            sending_session,
            sent_at: strict::need(sent_at)?,
            priority: strict::need(priority)?,
            reply_to,
            hops: strict::need(hops)?,
            addressed: strict::need(addressed)?,
            body: read_body(strict::need(kind)?, strict::need(body)?)?,
        })
    }
}

fn read_body(kind: u64, bytes: &[u8]) -> Read<ContentBody> {
    match kind {
        TEXT => {
            let text = core::str::from_utf8(bytes).map_err(|_| DecodeError::message("text is not UTF-8"))?;
            Ok(ContentBody::Text(text.into()))
        }
        CLAIM => {
            let Claim(items) = codec::decode(bytes).map_err(|_| DecodeError::message("no claim"))?;
            Ok(ContentBody::Claim(items))
        }
        INVITATION => {
            LogId::try_from(bytes).map(ContentBody::Invitation).map_err(|_| DecodeError::message("no log id"))
        }
        kind => Ok(ContentBody::Unknown { kind, bytes: bytes.into() }),
    }
}

struct Claim(Vec<ClaimItem>);

impl<'b, C> Decode<'b, C> for Claim {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Read<Self> {
        let item = |d: &mut Decoder<'b>| {
            strict::array(d, 3)?;
            Ok(ClaimItem { id: d.decode()?, state: d.decode()?, at: Millis(d.u64()?) })
        };
        strict::list(d, (1, MAX_CLAIMS), item).map(Self)
    }
}

fn encode_claims(items: &[ClaimItem]) -> Vec<u8> {
    let mut out = Vec::with_capacity(3 + items.len() * 28);
    let mut e = Encoder::new(&mut out);
    let written = e.array(items.len() as u64).and_then(|e| {
        items.iter().try_for_each(|item| {
            e.array(3)?.bytes(item.id.as_bytes())?.u64(item.state.code())?.u64(item.at.0)?;
            Ok(())
        })
    });
    written.unwrap_or_else(|_| unreachable!("encoding into memory cannot fail"));
    out
}
