//! Identifiers. Each is a newtype; text that is not an id never becomes one.

use alloc::string::{String, ToString};
use core::{fmt, str::FromStr};

use data_encoding::HEXLOWER;

use crate::codec::cbor_fixed_bytes;
use crate::hash::Label;

/// The text is not an identifier of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct ParseIdError(&'static str);

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $len:expr, $what:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) [u8; $len]);
        cbor_fixed_bytes!($name, $len);

        impl $name {
            /// The id with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The id's bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// The first eight hexadecimal digits: enough to tell ids apart in a log line, not to name one.
            #[must_use]
            pub fn short(&self) -> String {
                HEXLOWER.encode(&self.0[..4])
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = ParseIdError;
            fn try_from(bytes: &[u8]) -> Result<Self, ParseIdError> {
                bytes.try_into().map(Self).map_err(|_| ParseIdError($what))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| ParseIdError($what))?;
                Self::try_from(bytes.as_slice())
            }
        }
    };
}

hex_id!(
    /// A mesh: the hash of its genesis.
    MeshId, 32, "mesh id"
);
hex_id!(
    /// A member: the hash of its join statement.
    MemberId, 32, "member id"
);
hex_id!(
    /// A device: the hash of its Ed25519 public key.
    DeviceId, 32, "device id"
);
hex_id!(
    /// An invite: the hash of its public key.
    InviteId, 32, "invite id"
);
hex_id!(
    /// A log: sixteen random bytes, or derived for the mesh's own log and that of `#general`.
    LogId, 16, "log id"
);

impl LogId {
    /// The id of the mesh's own log.
    #[must_use]
    pub fn of_mesh(mesh: &MeshId) -> Self {
        Self::derived("mesh-log", mesh)
    }

    /// The id of the log of `#general`.
    #[must_use]
    pub fn of_general(mesh: &MeshId) -> Self {
        Self::derived("general-log", mesh)
    }

    fn derived(label: &'static str, mesh: &MeshId) -> Self {
        let hash = Label::new(label).hash(&[&mesh.0]);
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Self(id)
    }
}

/// A message: a `UUIDv7` (RFC 9562). Messages are named by (sender device, id).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub(crate) [u8; 16]);
cbor_fixed_bytes!(MessageId, 16);

impl MessageId {
    /// A fresh `UUIDv7` for time `now` with random bits from `rng`.
    #[must_use]
    pub fn generate(now: crate::time::Millis, rng: &mut impl rand_core::CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes[6..]);
        bytes[..6].copy_from_slice(&now.0.to_be_bytes()[2..]);
        bytes[6] = (bytes[6] & 0x0f) | 0x70;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The id's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = HEXLOWER.encode(&self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

impl FromStr for MessageId {
    type Err = ParseIdError;
    /// Accepts the hyphenated form in either case.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let error = ParseIdError("message id (a UUID)");
        let hyphens = [8, 13, 18, 23];
        if text.len() != 36 || !text.is_ascii() || hyphens.iter().any(|&at| text.as_bytes()[at] != b'-') {
            return Err(error);
        }
        let hex: String = text.chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase();
        let bytes = HEXLOWER.decode(hex.as_bytes()).map_err(|_| error)?;
        bytes.as_slice().try_into().map(Self).map_err(|_| error)
    }
}

impl TryFrom<&[u8]> for MessageId {
    type Error = ParseIdError;
    fn try_from(bytes: &[u8]) -> Result<Self, ParseIdError> {
        bytes.try_into().map(Self).map_err(|_| ParseIdError("message id"))
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_id_text_round_trips_and_rejects_other_text() {
        let id = MessageId::from_bytes(core::array::from_fn(|i| i as u8 * 17));
        assert_eq!(id.to_string().parse::<MessageId>().unwrap(), id);
        assert_eq!(id.to_string().to_uppercase().parse::<MessageId>().unwrap(), id);
        for bad in ["", "x", "00112233445566778899aabbccddeeff", "0011223344-5566-7788-99aabbccddeeffff00"] {
            assert!(bad.parse::<MessageId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn hex_ids_round_trip() {
        let id = MeshId::from_bytes([0xab; 32]);
        assert_eq!(id.to_string().parse::<MeshId>().unwrap(), id);
        assert!("abcd".parse::<MeshId>().is_err());
        assert!("A".repeat(64).parse::<MeshId>().is_err());
    }
}
