//! Choosing the member an address means.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::name::MAX_NAME_BYTES;
use super::{MIN_KEY_PREFIX, MemberRef};
use crate::id::{DeviceId, MemberId};

const MAX_SUGGESTIONS: usize = 3;
const ID_DIGITS: usize = 64;

/// A member that an address might mean.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The member.
    pub member: MemberId,
    /// Its name, when one is known.
    pub name: Option<&'a str>,
    /// Its live devices.
    pub devices: &'a [DeviceId],
}

/// An address does not name exactly one member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// No member fits.
    #[error("no member has this name or key")]
    Unknown {
        /// Names that look similar, the nearest first; at most three.
        suggestions: Vec<String>,
    },
    /// More than one member fits.
    #[error("the name fits {} members", .candidates.len())]
    Ambiguous {
        /// The members that fit, in the order of their ids, with the names they have.
        candidates: Vec<(MemberId, Option<String>)>,
    },
}

/// The one member among `candidates` that `wanted` means.
///
/// A full id means the member (or the member of the device) with that id, whatever anyone is called. Other text means the
/// member of exactly that name or, when it can be a key prefix, the member whose id or device's id starts with it. Names
/// are chosen by their bearers, so a name that equals the key prefix of another member is ambiguous like any other
/// double: nobody can draw another's messages to itself by taking a name.
///
/// # Errors
/// [`ResolveError::Unknown`] with similar names, [`ResolveError::Ambiguous`] with the members that fit.
pub fn resolve<'a>(
    candidates: impl IntoIterator<Item = Candidate<'a>>,
    wanted: &MemberRef,
) -> Result<MemberId, ResolveError> {
    let text = wanted.as_str();
    let prefix = wanted.as_key_prefix();
    let full_id = prefix.is_some() && text.len() == ID_DIGITS;
    let candidates: Vec<Candidate<'a>> = candidates.into_iter().collect();
    let mut matches: BTreeMap<MemberId, Option<String>> = BTreeMap::new();
    for &Candidate { member, name, devices } in &candidates {
        let by_key = prefix.is_some_and(|prefix| {
            starts_with(member.as_bytes(), prefix) || devices.iter().any(|id| starts_with(id.as_bytes(), prefix))
        });
        if by_key || (name == Some(text) && !full_id) {
            matches.insert(member, name.map(ToString::to_string));
        }
    }
    if matches.len() > 1 {
        return Err(ResolveError::Ambiguous { candidates: matches.into_iter().collect() });
    }
    let found = matches.into_keys().next();
    found.ok_or_else(|| ResolveError::Unknown {
        suggestions: suggest(text, candidates.iter().filter_map(|one| one.name)),
    })
}

/// The names nearest to `text`, as far as they are near at all; at most three.
#[must_use]
pub fn suggest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let folded: Vec<char> = text.to_lowercase().chars().collect();
    let tolerance = 1 + folded.len() / 4;
    let mut near: Vec<(usize, &str)> = names
        .into_iter()
        .filter(|name| name.len() <= MAX_NAME_BYTES)
        .map(|name| (distance(&folded, &name.to_lowercase().chars().collect::<Vec<_>>()), name))
        .filter(|(distance, _)| *distance <= tolerance)
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| name.to_string()).collect()
}

/// Whether the lowercase hexadecimal form of `id` starts with `prefix`.
fn starts_with(id: &[u8; 32], prefix: &str) -> bool {
    debug_assert!(prefix.len() >= MIN_KEY_PREFIX);
    data_encoding::HEXLOWER.encode(id).starts_with(prefix)
}

/// The number of single insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i);
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = core::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: MemberId = MemberId::from_bytes([0xa1; 32]);
    const BOB: MemberId = MemberId::from_bytes([0xb2; 32]);
    const EVE: MemberId = MemberId::from_bytes([0xe5; 32]);
    const LAPTOP: DeviceId = DeviceId::from_bytes([0x1c; 32]);

    fn find(members: &[(MemberId, Option<&str>)], wanted: &str) -> Result<MemberId, ResolveError> {
        let candidates = members.iter().map(|&(member, name)| Candidate {
            member,
            name,
            devices: if member == BOB { &[LAPTOP] } else { &[] },
        });
        resolve(candidates, &wanted.parse().unwrap())
    }

    #[test]
    fn a_member_is_found_by_name_key_prefix_and_device_prefix() {
        let members = [(ADA, Some("ada")), (BOB, Some("bob")), (EVE, None)];
        assert_eq!(find(&members, "bob"), Ok(BOB));
        assert_eq!(find(&members, "e5e5e5e5"), Ok(EVE));
        assert_eq!(find(&members, "1c1c1c1c1"), Ok(BOB));
        assert_eq!(find(&members, &ADA.to_string()), Ok(ADA));
        assert!(matches!(find(&members, "e5e5e5e"), Err(ResolveError::Unknown { .. })), "too short");
        assert!(matches!(find(&members, "e5e5e5e50"), Err(ResolveError::Unknown { .. })));
    }

    #[test]
    fn two_members_of_one_name_are_ambiguous() {
        let members = [(BOB, Some("bob")), (ADA, Some("bob")), (EVE, Some("eve"))];
        let expected = [ADA, BOB].map(|member| (member, Some("bob".to_string()))).to_vec();
        assert_eq!(find(&members, "bob"), Err(ResolveError::Ambiguous { candidates: expected }));
        assert_eq!(find(&members, "a1a1a1a1"), Ok(ADA), "the key tells them apart");
    }

    #[test]
    fn one_member_listed_twice_is_one_member() {
        assert_eq!(find(&[(ADA, Some("ada")), (ADA, Some("ada"))], "ada"), Ok(ADA));
    }

    #[test]
    fn a_name_like_a_key_captures_nothing() {
        let members = [(BOB, Some("bob")), (EVE, Some("b2b2b2b2"))];
        assert!(
            matches!(find(&members, "b2b2b2b2"), Err(ResolveError::Ambiguous { candidates }) if candidates.len() == 2)
        );
        assert_eq!(find(&members, "b2b2b2b2b"), Ok(BOB), "one more digit is exact");
        let id = BOB.to_string();
        for members in [[(EVE, Some(&*id)), (BOB, None)], [(BOB, None), (EVE, Some(&*id))]] {
            assert_eq!(find(&members, &id), Ok(BOB), "a full id is never a name");
        }
        assert!(find(&[(EVE, Some(&*id))], &id).is_err(), "not even when its member is gone");
        assert_eq!(find(&[(EVE, Some("b2b2b2b2"))], "b2b2b2b2"), Ok(EVE), "without a rival it is a name");
    }

    #[test]
    fn unknown_names_come_with_the_nearest() {
        let suggest = |members: &[(MemberId, Option<&str>)], wanted: &str| match find(members, wanted) {
            Err(ResolveError::Unknown { suggestions }) => suggestions,
            other => panic!("{other:?}"),
        };
        let members = [(ADA, Some("alice")), (BOB, Some("Bob")), (EVE, Some("malice"))];
        assert_eq!(suggest(&members, "bob"), ["Bob"]);
        assert_eq!(suggest(&members, "obb"), ["Bob"]);
        assert_eq!(suggest(&members, "alicf"), ["alice", "malice"]);
        assert!(suggest(&members, "zoe").is_empty());
        let crowd = ["ann", "ane", "anx", "any"].map(Some);
        let crowd: Vec<_> = (0..).map(|i| MemberId::from_bytes([i; 32])).zip(crowd).collect();
        assert_eq!(suggest(&crowd, "anz").len(), 3);
    }
}
