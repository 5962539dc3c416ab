//! Joining by an invite link, as a client does it before it has a session: read the roster, append the own entry, go.

use claudemesh_core::codec::Bytes;
use claudemesh_core::invite::LinkSecret;
use claudemesh_core::roster::Kind;
use claudemesh_core::testing::SeededRng;
use claudemesh_core::wire::{self, Body, ClientHandshake, ErrorCode, Frame, HelloMode};
use claudemesh_core::{MeshId, PublicKey, Roster, SigningKey};

/// What the link says.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Secret.
    pub secret: [u8; 32],
    /// Mesh.
    pub mesh: MeshId,
    /// Broker key.
    pub broker: PublicKey,
}

/// What a joiner wants done.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Step {
    /// Send this.
    Send(Frame),
    /// Hang up and try again.
    Again,
    /// It was in, and was removed before it knew.
    ShutOut,
    /// It is in: the roster with its own entry.
    Joined(Vec<Bytes>),
}

/// One connection of a joiner.
#[derive(Debug)]
pub struct Joiner {
    link: Link,
    key: SigningKey,
    /// Whether the invite is used up, perhaps by this very device: then it connects as a device.
    as_device: bool,
    handshake: Option<ClientHandshake>,
    entries: Vec<Bytes>,
    own: Option<Vec<u8>>,
    request: u64,
}

impl Joiner {
    /// A joiner with this device key.
    #[must_use]
    pub fn new(link: Link, key: SigningKey) -> Self {
        Self { link, key, as_device: false, handshake: None, entries: Vec::new(), own: None, request: 0 }
    }

    /// Forgets the connection that ended.
    pub fn reset(&mut self) {
        (self.handshake, self.own, self.entries) = (None, None, Vec::new());
    }

    /// Takes a frame.
    pub fn handle(&mut self, bytes: &[u8], rng: &mut SeededRng) -> Vec<Step> {
        let Ok(frame) = Frame::decode(bytes) else { return vec![Step::Again] };
        match frame.body {
            Body::Challenge(challenge) => self.greet(&challenge, rng),
            Body::WelcomeFrame(welcome) => match self.handshake.take().map(|handshake| handshake.finish(&welcome)) {
                Some(Ok(_)) => self.range(),
                _ => vec![Step::Again],
            },
            Body::RosterEntries(reply) => self.on_entries(reply, rng),
            Body::Done(_) => match self.own.take() {
                Some(own) => {
                    self.entries.push(own.into());
                    vec![Step::Joined(std::mem::take(&mut self.entries))]
                }
                None => Vec::new(),
            },
            Body::Error(error) if error.code == ErrorCode::HeadMoved => {
                self.entries.clear();
                self.range()
            }
            Body::Error(error) if error.code == ErrorCode::Removed => vec![Step::ShutOut],
            Body::Error(error) => {
                self.as_device = error.code == ErrorCode::InviteExpired;
                vec![Step::Again]
            }
            Body::Close(_) => vec![Step::Again],
            _ => Vec::new(),
        }
    }

    fn greet(&mut self, challenge: &wire::Challenge, rng: &mut SeededRng) -> Vec<Step> {
        let invite = LinkSecret::from_bytes(self.link.secret).invite_key();
        let mode = if self.as_device { HelloMode::Device } else { HelloMode::Join(invite.public().invite_id()) };
        let invite = (!self.as_device).then_some(&invite);
        let brokers = [self.link.broker];
        let started =
            ClientHandshake::start(challenge, &brokers, self.link.mesh, &self.key, mode, invite, None, b"", rng);
        let Ok((handshake, hello)) = started else { return vec![Step::Again] };
        self.handshake = Some(handshake);
        vec![self.send(hello)]
    }

    fn send(&mut self, body: impl Into<Body>) -> Step {
        self.request += 1;
        Step::Send(Frame::new(self.request, body))
    }

    fn range(&mut self) -> Vec<Step> {
        vec![self.send(wire::RosterRange { from: self.entries.len() as u64, limit: 256 })]
    }

    fn on_entries(&mut self, reply: wire::RosterEntries, rng: &mut SeededRng) -> Vec<Step> {
        self.entries.extend(reply.entries.into_vec());
        if (self.entries.len() as u64) <= reply.head.index {
            return self.range();
        }
        let Ok(roster) = Roster::from_entries(self.entries.iter().map(|entry| &entry.0)) else {
            return vec![Step::Again];
        };
        if roster.is_live_device(&self.key.public().device_id()) {
            return vec![Step::Joined(std::mem::take(&mut self.entries))];
        }
        let invite = LinkSecret::from_bytes(self.link.secret).invite_key();
        match roster.join(&self.key, &invite, Kind::Agent, rng) {
            Ok((entry, _)) => {
                self.own = Some(entry.clone());
                vec![self.send(wire::RosterAppend { entry: entry.into() })]
            }
            Err(_) => vec![Step::Again],
        }
    }
}
