//! The invite link: `https://host[:port]/i#payload`.

use alloc::string::{String, ToString};
use core::fmt;
use core::net::Ipv6Addr;

use data_encoding::BASE64URL_NOPAD;
use minicbor::{Decode, Encode};
use zeroize::{Zeroize, Zeroizing};

use super::LinkSecret;
use crate::codec;
use crate::id::MeshId;
use crate::key::PublicKey;

/// The most characters of a link.
pub const MAX_LINK_LEN: usize = 2048;

const VERSION: u64 = 1;
const MARK: &str = "/i#";
const MAX_HOST_LEN: usize = 253;
/// Web scheme of a link and WebSocket scheme of the broker it stands for.
const SCHEMES: [(&str, &str); 2] = [("https://", "wss://"), ("http://", "ws://")];

/// Why text is no usable invite link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The text is not of the form of an invite link.
    #[error("this is not an invite link")]
    NotALink,
    /// The link is of a version this program does not know.
    #[error("the invite link is of another version")]
    WrongVersion,
    /// The part after `#` is incomplete or altered.
    #[error("the invite link is damaged or incomplete")]
    Damaged,
    /// Not a `ws://host[:port]` or `wss://host[:port]` address.
    #[error("not a broker address")]
    BadAddress,
}

#[derive(Decode)]
#[cbor(map)]
struct PayloadVersion {
    #[n(0)]
    version: u64,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct LinkPayload {
    #[n(0)]
    version: u64,
    #[n(1)]
    mesh: MeshId,
    #[n(2)]
    broker_key: PublicKey,
    #[cbor(n(3), with = "minicbor::bytes")]
    secret: [u8; 32],
}

impl Drop for LinkPayload {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// An invite link: which mesh, which broker, and the secret that lets its holder join. Its `Debug` leaves the secret out.
pub struct Link {
    mesh: MeshId,
    broker_key: PublicKey,
    secret: LinkSecret,
    address: String,
}

impl Link {
    /// The link to `mesh` at the broker with `broker_key` and `address`: `ws://` or `wss://`, host and port, no path.
    ///
    /// # Errors
    /// [`LinkError::BadAddress`].
    pub fn new(mesh: MeshId, broker_key: PublicKey, secret: LinkSecret, address: &str) -> Result<Self, LinkError> {
        let fits = SCHEMES.iter().filter_map(|(_, socket)| address.strip_prefix(socket)).any(is_authority);
        if !fits {
            return Err(LinkError::BadAddress);
        }
        Ok(Self { mesh, broker_key, secret, address: address.to_string() })
    }

    /// Reads a link. Surrounding white space is not part of one.
    ///
    /// # Errors
    /// [`LinkError::NotALink`], [`LinkError::WrongVersion`] or [`LinkError::Damaged`].
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        if text.len() > MAX_LINK_LEN {
            return Err(LinkError::NotALink);
        }
        let (base, payload) = text.split_once(MARK).ok_or(LinkError::NotALink)?;
        let (authority, socket) = SCHEMES
            .iter()
            .find_map(|(web, socket)| base.strip_prefix(web).map(|authority| (authority, socket)))
            .filter(|(authority, _)| is_authority(authority))
            .ok_or(LinkError::NotALink)?;
        let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).map_err(|_| LinkError::Damaged)?;
        let payload = Zeroizing::new(payload);
        // The version comes first: later ones may differ in everything else.
        let PayloadVersion { version } = codec::decode(&payload).map_err(|_| LinkError::Damaged)?;
        if version != VERSION {
            return Err(LinkError::WrongVersion);
        }
        let payload: LinkPayload = codec::decode(&payload).map_err(|_| LinkError::Damaged)?;
        Ok(Self {
            mesh: payload.mesh,
            broker_key: payload.broker_key,
            secret: LinkSecret::from_bytes(payload.secret),
            address: [socket, authority].concat(),
        })
    }

    /// The text of the link. It carries the secret: show it to the user, never log it.
    #[must_use]
    pub fn to_url(&self) -> String {
        let payload = LinkPayload {
            version: VERSION,
            mesh: self.mesh,
            broker_key: self.broker_key,
            secret: *self.secret.as_bytes(),
        };
        let payload = Zeroizing::new(codec::encode(&payload));
        let (web, authority) = SCHEMES
            .iter()
            .find_map(|(web, socket)| self.address.strip_prefix(socket).map(|authority| (*web, authority)))
            .unwrap_or_default();
        [web, authority, MARK, &BASE64URL_NOPAD.encode(&payload)].concat()
    }

    /// The mesh.
    #[must_use]
    pub fn mesh(&self) -> MeshId {
        self.mesh
    }

    /// The broker's key, which pins the first connection.
    #[must_use]
    pub fn broker_key(&self) -> &PublicKey {
        &self.broker_key
    }

    /// The secret.
    #[must_use]
    pub fn secret(&self) -> &LinkSecret {
        &self.secret
    }

    /// The broker's address: `ws://` or `wss://`, host and port, no path.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("mesh", &self.mesh)
            .field("broker_key", &self.broker_key)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Whether `text` is `host[:port]`, with IPv6 hosts in brackets and no user, path or query.
fn is_authority(text: &str) -> bool {
    let (host_fits, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else { return false };
        (host.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        (is_host(host), port)
    };
    host_fits && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_host(text: &str) -> bool {
    let label_fits = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= MAX_HOST_LEN && text.split('.').all(label_fits)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0') && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;
    use proptest::prelude::*;
    use std::format;

    fn link(address: &str) -> Result<Link, LinkError> {
        let key = SigningKey::from_seed(&[2; 32]).public();
        Link::new(MeshId::from_bytes([1; 32]), key, LinkSecret::from_bytes([0xab; 32]), address)
    }

    fn with_payload(payload: &[u8]) -> String {
        format!("https://broker.example/i#{}", BASE64URL_NOPAD.encode(payload))
    }

    fn error(text: &str) -> Option<LinkError> {
        Link::parse(text).err()
    }

    #[test]
    fn links_round_trip_with_the_scheme_of_their_broker() {
        let addresses = [
            "wss://broker.example",
            "ws://127.0.0.1:8787",
            "wss://my_broker-2:1",
            "ws://[::1]:65535",
            "wss://[2001:db8::1]",
        ];
        for address in addresses {
            let link = link(address).unwrap();
            let text = link.to_url();
            assert_eq!(text.starts_with("https://"), address.starts_with("wss://"), "{text}");
            let read = Link::parse(&text).unwrap();
            assert_eq!((read.mesh(), read.broker_key(), read.address()), (link.mesh(), link.broker_key(), address));
            assert_eq!(read.secret().as_bytes(), link.secret().as_bytes());
            assert_eq!(read.to_url(), text);
        }
    }

    #[test]
    fn addresses_that_are_more_or_less_than_host_and_port_are_refused() {
        let long = format!("wss://{}", "a".repeat(254));
        let bad = [
            "",
            "ws://",
            "https://a",
            "a.example",
            "wss://a/",
            "wss://a/x",
            "wss://a?x",
            "wss://a#x",
            "wss://u@a",
            "wss://a:",
            "wss://a:0",
            "wss://a:01",
            "wss://a:65536",
            "wss://a:+1",
            "wss://a:1:2",
            "wss://a..b",
            "wss://.a",
            "wss://a b",
            "wss://ä",
            "wss://[::1",
            "wss://[x]",
            "wss://[::1]x",
            "wss://[::1]:",
            "WSS://a",
            "wss://a\n",
            &long,
        ];
        for address in bad {
            assert_eq!(link(address).err(), Some(LinkError::BadAddress), "{address:?}");
        }
    }

    #[test]
    fn text_of_another_form_is_not_a_link() {
        let good = link("wss://a.example").unwrap().to_url();
        let payload = good.split_once('#').unwrap().1;
        let long = format!("https://a.example/i#{}", "A".repeat(MAX_LINK_LEN));
        let bad = [
            "",
            "hello",
            "https://a.example",
            "https://a.example/i",
            &format!("https://a.example/j#{payload}"),
            &format!("https://a.example/x/i#{payload}"),
            &format!("https://a.example#{payload}"),
            &format!("wss://a.example/i#{payload}"),
            &format!("https:///i#{payload}"),
            &format!("https://u:p@a/i#{payload}"),
            &format!("https://a.example/i?x#{payload}"),
            &format!(" {good}"),
            &long,
        ];
        for text in bad {
            assert_eq!(error(text), Some(LinkError::NotALink), "{text:?}");
        }
    }

    #[test]
    fn a_payload_that_is_cut_or_altered_is_damaged() {
        let good = link("wss://a.example").unwrap().to_url();
        let start = good.find('#').unwrap() + 1;
        for end in start..good.len() {
            assert_eq!(error(&good[..end]), Some(LinkError::Damaged), "{end}");
        }
        for text in [format!("{good}="), format!("{good}AA"), format!("{good}\n"), good.replace('#', "#+")] {
            assert_eq!(error(&text), Some(LinkError::Damaged), "{text}");
        }
        let payload = BASE64URL_NOPAD.decode(&good.as_bytes()[start..]).unwrap();
        let mut weak_key = payload.clone();
        let at = payload.windows(3).position(|window| window == [2, 0x58, 32]).unwrap() + 3;
        weak_key[at..at + 32].fill(0);
        assert_eq!(error(&with_payload(&weak_key)), Some(LinkError::Damaged));
        assert!(Link::parse(&with_payload(&payload)).is_ok());
    }

    #[test]
    fn another_version_is_told_from_damage() {
        assert_eq!(error(&with_payload(&[0xa1, 0, 2])), Some(LinkError::WrongVersion));
        assert_eq!(error(&with_payload(&[0xa2, 0, 9, 1, 0x61, b'x'])), Some(LinkError::WrongVersion));
        assert_eq!(error(&with_payload(&[0xa1, 0, 1])), Some(LinkError::Damaged));
        assert_eq!(error(&with_payload(&[0xa2, 0, 2, 0, 2])), Some(LinkError::Damaged));
    }

    #[test]
    fn debug_leaves_the_secret_out() {
        let shown = format!("{:?}", link("wss://a.example").unwrap());
        assert!(shown.contains("a.example") && !shown.contains("abab") && !shown.contains("171"), "{shown}");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,200}", payload in proptest::collection::vec(any::<u8>(), 0..150)) {
            let _ = Link::parse(&text);
            let _ = Link::parse(&format!("https://{text}"));
            let _ = Link::parse(&with_payload(&payload));
        }

        #[test]
        fn damaged_payloads_never_panic(at in 0usize..106, bit in 0u8..8) {
            let good = link("wss://a.example").unwrap().to_url();
            let mut payload = BASE64URL_NOPAD.decode(good.split_once('#').unwrap().1.as_bytes()).unwrap();
            if let Some(byte) = payload.get_mut(at) {
                *byte ^= 1 << bit;
            }
            let _ = Link::parse(&with_payload(&payload));
        }
    }
}
