//! The two-sided handshake: both ends sign both nonces, the mesh, the device, the broker key and the TLS exporter.

use alloc::vec::Vec;

use minicbor::{Decode, Encode};
use rand_core::CryptoRng;

use super::frame::{self, Hello, WelcomeFrame};
use crate::codec::{self, Bytes, HashBytes, List};
use crate::hash::{Hash, Label, constant_time_eq, sha256};
use crate::head::RosterHead;
use crate::id::{DeviceId, InviteId, MeshId};
use crate::key::{PublicKey, SigningKey};
use crate::time::Millis;

pub use super::frame::Challenge;

const HELLO: Label = Label::new("hello");
const HELLO_INVITE: Label = Label::new("hello-invite");
const WELCOME: Label = Label::new("welcome");

/// The handshake fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The broker's key is not one the mesh or the link names.
    #[error("the broker has another key than the mesh names")]
    WrongBroker,
    /// A signature does not verify.
    #[error("the other side did not prove its key")]
    BadSignature,
    /// No common version.
    #[error("no common protocol version")]
    NoCommonVersion,
    /// The fields do not fit.
    #[error("malformed handshake")]
    Malformed,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloMode {
    /// A live device.
    Device,
    /// Someone with a link who is about to join.
    Join(InviteId),
    /// Someone about to create the mesh.
    Create,
}

/// What the client had seen of the broker when it was last connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Resume {
    /// Store id.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub store_id: [u8; 16],
    /// Highest commit counter.
    #[n(1)]
    pub commits: u64,
}

/// The broker's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Limits {
    /// Bytes of a frame.
    #[n(0)]
    pub max_frame: u64,
    /// Bytes of a text.
    #[n(1)]
    pub max_text: u64,
    /// Deliveries without receipt per connection.
    #[n(2)]
    pub window: u64,
    /// Recipients of one envelope.
    #[n(3)]
    pub max_recipients: u64,
    /// Seconds between pings.
    #[n(4)]
    pub ping_interval: u64,
    /// Seconds a message may wait.
    #[n(5)]
    pub max_ttl: u64,
    /// Messages waiting for one device.
    #[n(6)]
    pub mailbox_rows: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: super::MAX_FRAME as u64,
            max_text: 128 * 1024,
            window: 256,
            max_recipients: 512,
            ping_interval: 25,
            max_ttl: 30 * 24 * 3600,
            mailbox_rows: 100_000,
        }
    }
}

/// The device's own last accepted envelope, as the broker stored it: `docs/protocol.md` §10, key 8.
pub type SentProof = Bytes;

/// What the broker signs of its welcome.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct WelcomeBody {
    /// Version in force.
    #[n(0)]
    pub version: u64,
    /// Capabilities.
    #[n(1)]
    pub capabilities: List<u64, 64>,
    /// Limits.
    #[n(2)]
    pub limits: Limits,
    /// Store id.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub store_id: [u8; 16],
    /// Commit counter.
    #[n(4)]
    pub commits: u64,
    /// The broker's clock.
    #[n(5)]
    pub now: Millis,
    /// Roster head; absent when the mesh is unknown here.
    #[n(6)]
    pub head: Option<RosterHead>,
    /// The device's own latest record.
    #[n(7)]
    pub record: Option<Bytes>,
    /// The device's own last accepted envelope.
    #[n(8)]
    pub last_sent: Option<SentProof>,
    /// Connection id.
    #[n(9)]
    pub connection: u64,
}

/// A welcome that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// Its body.
    pub body: WelcomeBody,
}

/// What both sides sign.
#[derive(Clone, Debug)]
pub struct Transcript(Vec<u8>);

impl Transcript {
    /// The transcript of these values; `exporter` is empty unless the broker itself ends TLS.
    #[must_use]
    pub fn new(
        broker_nonce: &Hash,
        client_nonce: &Hash,
        mesh: &MeshId,
        device: &PublicKey,
        broker: &[u8; 32],
        exporter: &[u8],
    ) -> Self {
        let exporter = sha256(exporter);
        Self([&broker_nonce[..], client_nonce, mesh.as_bytes(), device.as_bytes(), broker, &exporter].concat())
    }

    fn with_body(&self, body: &[u8]) -> Vec<u8> {
        [&self.0[..], &sha256(body)].concat()
    }
}

/// The client's side between `challenge` and `welcome`.
#[derive(Debug)]
pub struct ClientHandshake {
    transcript: Transcript,
    broker: PublicKey,
}

impl ClientHandshake {
    /// Answers a challenge. `broker_keys` are the keys the roster names, or the one the link pins.
    ///
    /// # Errors
    /// [`HandshakeError`] when the broker's key is another or no version is common.
    #[allow(clippy::too_many_arguments)]
    pub fn start(
        challenge: &Challenge,
        broker_keys: &[PublicKey],
        mesh: MeshId,
        device: &SigningKey,
        mode: HelloMode,
        invite: Option<&SigningKey>,
        resume: Option<Resume>,
        exporter: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Hello), HandshakeError> {
        if !challenge.versions.contains(&super::VERSION) {
            return Err(HandshakeError::NoCommonVersion);
        }
        let broker = broker_keys
            .iter()
            .find(|key| constant_time_eq(key.as_bytes(), &challenge.key.0))
            .copied()
            .ok_or(HandshakeError::WrongBroker)?;
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let public = device.public();
        let transcript = Transcript::new(&challenge.nonce.0, &nonce, &mesh, &public, &challenge.key.0, exporter);
        let (mode_number, invite_id) = match mode {
            HelloMode::Device => (0, None),
            HelloMode::Join(id) => (1, Some(id)),
            HelloMode::Create => (2, None),
        };
        let hello = Hello {
            mesh,
            mode: mode_number,
            key: HashBytes(*public.as_bytes()),
            nonce: HashBytes(nonce),
            version: super::VERSION,
            capabilities: List::new(),
            signature: device.sign(HELLO, &transcript.0),
            invite: invite_id,
            invite_signature: invite.map(|key| key.sign(HELLO_INVITE, &transcript.0)),
            resume,
        };
        Ok((Self { transcript, broker }, hello))
    }

    /// Checks the broker's welcome.
    ///
    /// # Errors
    /// [`HandshakeError`] when the signature or the form is wrong.
    pub fn finish(&self, welcome: &WelcomeFrame) -> Result<Welcome, HandshakeError> {
        self.broker
            .verify(WELCOME, &self.transcript.with_body(&welcome.body), &welcome.signature)
            .map_err(|_| HandshakeError::BadSignature)?;
        let body: WelcomeBody = codec::decode(&welcome.body).map_err(|_| HandshakeError::Malformed)?;
        if body.version != super::VERSION {
            return Err(HandshakeError::NoCommonVersion);
        }
        Ok(Welcome { body })
    }
}

/// A hello whose device key is proved. Whether the device may connect is the roster's word.
#[derive(Clone, Debug)]
pub struct CheckedHello {
    /// The mesh.
    pub mesh: MeshId,
    /// Device key.
    pub key: PublicKey,
    /// Device id.
    pub device: DeviceId,
    /// Mode; for joining, the invite signature still has to be checked against the roster's invite key.
    pub mode: HelloMode,
    /// What the client had seen.
    pub resume: Option<Resume>,
    transcript: Transcript,
    invite_signature: Option<crate::key::Signature>,
}

impl CheckedHello {
    /// Checks that the joiner holds the invite's key.
    ///
    /// # Errors
    /// [`HandshakeError::BadSignature`].
    pub fn check_invite(&self, key: &PublicKey) -> Result<(), HandshakeError> {
        let signature = self.invite_signature.ok_or(HandshakeError::BadSignature)?;
        key.verify(HELLO_INVITE, &self.transcript.0, &signature).map_err(|_| HandshakeError::BadSignature)
    }
}

/// Checks a client's hello against the challenge it answers.
///
/// # Errors
/// [`HandshakeError`].
pub fn check_hello(challenge: &Challenge, hello: &Hello, exporter: &[u8]) -> Result<CheckedHello, HandshakeError> {
    if hello.version != super::VERSION {
        return Err(HandshakeError::NoCommonVersion);
    }
    let key = PublicKey::from_bytes(&hello.key.0).map_err(|_| HandshakeError::Malformed)?;
    let transcript = Transcript::new(&challenge.nonce.0, &hello.nonce.0, &hello.mesh, &key, &challenge.key.0, exporter);
    key.verify(HELLO, &transcript.0, &hello.signature).map_err(|_| HandshakeError::BadSignature)?;
    let mode = match (hello.mode, hello.invite) {
        (0, _) => HelloMode::Device,
        (1, Some(invite)) => HelloMode::Join(invite),
        (2, _) => HelloMode::Create,
        _ => return Err(HandshakeError::Malformed),
    };
    Ok(CheckedHello {
        mesh: hello.mesh,
        device: key.device_id(),
        key,
        mode,
        resume: hello.resume,
        transcript,
        invite_signature: hello.invite_signature,
    })
}

/// The broker's signed welcome to a checked hello.
#[must_use]
pub fn answer_hello(broker: &SigningKey, hello: &CheckedHello, body: &WelcomeBody) -> frame::WelcomeFrame {
    let body = codec::encode(body);
    let signature = broker.sign(WELCOME, &hello.transcript.with_body(&body));
    WelcomeFrame { body: Bytes(body), signature }
}
