//! What one member lets another do.
//!
//! Owns the value types and their stored form. Grants are enforced by the device they belong to, not here; the broker never
//! sees them.

use alloc::collections::BTreeMap;
use core::{fmt, str::FromStr};

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

use crate::codec::definite;
use crate::id::MemberId;

/// A permission given to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Grant {
    /// Send direct messages.
    Dm,
    /// Reach this member by broadcasts to everyone.
    Broadcast,
    /// Write shared state.
    State,
    /// Fetch shared files.
    Files,
    /// Call tools.
    Tools,
    /// Follow sessions as they run.
    Follow,
}

/// The text names no grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a grant; known are dm, broadcast, state, files, tools and follow")]
pub struct UnknownGrant;

impl Grant {
    /// Every grant.
    pub const ALL: [Self; 6] = [Self::Dm, Self::Broadcast, Self::State, Self::Files, Self::Tools, Self::Follow];

    /// The grant's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dm => "dm",
            Self::Broadcast => "broadcast",
            Self::State => "state",
            Self::Files => "files",
            Self::Tools => "tools",
            Self::Follow => "follow",
        }
    }

    /// The grant's bit in the stored form. Bits are never given a second meaning.
    const fn bit(self) -> u64 {
        1 << match self {
            Self::Dm => 0,
            Self::Broadcast => 1,
            Self::State => 2,
            Self::Files => 3,
            Self::Tools => 4,
            Self::Follow => 5,
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Grant {
    type Err = UnknownGrant;

    fn from_str(text: &str) -> Result<Self, UnknownGrant> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == text).ok_or(UnknownGrant)
    }
}

/// Which grants differ from the default for one member. No bit is in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Overrides {
    allow: u64,
    deny: u64,
}

/// The grants of a device: a default for everyone, and what differs from it for single members.
///
/// By default everyone may send direct messages and broadcasts, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantSet {
    default: u64,
    overrides: BTreeMap<MemberId, Overrides>,
}

impl Default for GrantSet {
    fn default() -> Self {
        Self { default: Grant::Dm.bit() | Grant::Broadcast.bit(), overrides: BTreeMap::new() }
    }
}

impl GrantSet {
    /// Whether `member` has `grant`.
    #[must_use]
    pub fn allows(&self, member: &MemberId, grant: Grant) -> bool {
        let overrides = self.overrides.get(member).copied().unwrap_or_default();
        ((self.default | overrides.allow) & !overrides.deny) & grant.bit() != 0
    }

    /// Whether members without an override have `grant`.
    #[must_use]
    pub fn allows_by_default(&self, grant: Grant) -> bool {
        self.default & grant.bit() != 0
    }

    /// Sets the default for `grant`. Overrides stay.
    pub fn set_default(&mut self, grant: Grant, allowed: bool) {
        if allowed {
            self.default |= grant.bit();
        } else {
            self.default &= !grant.bit();
        }
    }

    /// Gives `member` this grant, whatever the default.
    pub fn allow(&mut self, member: MemberId, grant: Grant) {
        let overrides = self.overrides.entry(member).or_default();
        overrides.allow |= grant.bit();
        overrides.deny &= !grant.bit();
    }

    /// Denies `member` this grant, whatever the default.
    pub fn deny(&mut self, member: MemberId, grant: Grant) {
        let overrides = self.overrides.entry(member).or_default();
        overrides.deny |= grant.bit();
        overrides.allow &= !grant.bit();
    }

    /// Puts `member` back to the default for this grant.
    pub fn reset(&mut self, member: &MemberId, grant: Grant) {
        if let Some(overrides) = self.overrides.get_mut(member) {
            overrides.allow &= !grant.bit();
            overrides.deny &= !grant.bit();
            if *overrides == Overrides::default() {
                self.overrides.remove(member);
            }
        }
    }

    /// The override of `grant` for `member`: allowed, denied, or `None` for the default.
    #[must_use]
    pub fn override_of(&self, member: &MemberId, grant: Grant) -> Option<bool> {
        let overrides = self.overrides.get(member)?;
        if overrides.allow & grant.bit() != 0 {
            Some(true)
        } else {
            (overrides.deny & grant.bit() != 0).then_some(false)
        }
    }

    /// The members with an override, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = &MemberId> {
        self.overrides.keys()
    }
}

/// `[default: uint, [* [member-id, allow: uint, deny: uint]]]`, grants as bits, members ascending. Bits of grants this
/// version does not know are kept.
impl<C> Encode<C> for GrantSet {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(2)?.u64(self.default)?.array(self.overrides.len() as u64)?;
        for (member, overrides) in &self.overrides {
            e.array(3)?;
            member.encode(e, ctx)?;
            e.u64(overrides.allow)?.u64(overrides.deny)?;
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for GrantSet {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        if definite(d.array()?)? != 2 {
            return Err(DecodeError::message("a grant set has two parts"));
        }
        let default = d.u64()?;
        let mut overrides = BTreeMap::new();
        for _ in 0..definite(d.array()?)? {
            if definite(d.array()?)? != 3 {
                return Err(DecodeError::message("an override has three parts"));
            }
            let member = MemberId::decode(d, ctx)?;
            let entry = Overrides { allow: d.u64()?, deny: d.u64()? };
            let ascending = overrides.last_key_value().is_none_or(|(last, _)| *last < member);
            if !ascending || entry.allow & entry.deny != 0 || entry == Overrides::default() {
                return Err(DecodeError::message("overrides are not in their one form"));
            }
            overrides.insert(member, entry);
        }
        Ok(Self { default, overrides })
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::codec::{decode, encode};

    const ADA: MemberId = MemberId::from_bytes([1; 32]);
    const BOB: MemberId = MemberId::from_bytes([2; 32]);

    #[test]
    fn by_default_messages_pass_and_nothing_else() {
        let set = GrantSet::default();
        let allowed: Vec<Grant> = Grant::ALL.into_iter().filter(|grant| set.allows(&ADA, *grant)).collect();
        assert_eq!(allowed, [Grant::Dm, Grant::Broadcast]);
    }

    #[test]
    fn overrides_beat_the_default_for_one_member_only() {
        let mut set = GrantSet::default();
        set.allow(ADA, Grant::Tools);
        set.deny(ADA, Grant::Dm);
        assert!(set.allows(&ADA, Grant::Tools) && !set.allows(&ADA, Grant::Dm));
        assert!(!set.allows(&BOB, Grant::Tools) && set.allows(&BOB, Grant::Dm));
        set.set_default(Grant::Tools, true);
        set.set_default(Grant::Dm, false);
        assert!(set.allows(&BOB, Grant::Tools) && !set.allows(&BOB, Grant::Dm));
        set.deny(ADA, Grant::Tools);
        assert_eq!(set.override_of(&ADA, Grant::Tools), Some(false));
        assert!(!set.allows(&ADA, Grant::Tools));
        set.reset(&ADA, Grant::Tools);
        assert!(set.allows(&ADA, Grant::Tools));
        set.reset(&ADA, Grant::Dm);
        assert_eq!(set.members().count(), 0);
    }

    #[test]
    fn names_round_trip() {
        for grant in Grant::ALL {
            assert_eq!(grant.to_string().parse(), Ok(grant));
        }
        assert_eq!("DM".parse::<Grant>(), Err(UnknownGrant));
    }

    #[test]
    fn the_stored_form_round_trips_and_keeps_unknown_bits() {
        let mut set = GrantSet::default();
        set.allow(BOB, Grant::Follow);
        set.deny(ADA, Grant::Dm);
        let bytes = encode(&set);
        assert_eq!(decode::<GrantSet>(&bytes).unwrap(), set);
        assert_eq!(encode(&GrantSet::default()), [0x82, 3, 0x80]);
        let unknown = [0x82, 0x18, 0xff, 0x80];
        assert_eq!(encode(&decode::<GrantSet>(&unknown).unwrap()), unknown);
    }

    #[test]
    fn doubled_and_contradicting_overrides_are_refused() {
        let raw = |entries: &[(MemberId, u64, u64)]| {
            let mut e = Encoder::new(Vec::new());
            e.array(2).unwrap().u64(3).unwrap().array(entries.len() as u64).unwrap();
            for (member, allow, deny) in entries {
                e.array(3).unwrap().bytes(member.as_bytes()).unwrap().u64(*allow).unwrap().u64(*deny).unwrap();
            }
            e.into_writer()
        };
        assert!(decode::<GrantSet>(&raw(&[(ADA, 1, 2), (BOB, 4, 0)])).is_ok());
        for bad in [&[(ADA, 1, 0), (ADA, 0, 1)][..], &[(BOB, 1, 0), (ADA, 1, 0)], &[(ADA, 3, 1)], &[(ADA, 0, 0)]] {
            assert!(decode::<GrantSet>(&raw(bad)).is_err());
        }
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode::<GrantSet>(&bytes);
        }
    }
}
