//! Who a text mentions.

use alloc::vec::Vec;

use super::EVERYONE;
use crate::id::MemberId;

/// Who a text mentions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// The members named, each once, in the order of the text.
    pub members: Vec<MemberId>,
    /// Whether it says `@all`.
    pub everyone: bool,
}

/// Finds `@name` in a text. `names` are those of the members; they may hold spaces, and the longest that fits is meant. A
/// name ends, and an `@` starts, at the border of a word. A name that several members have mentions them all; `@all` means
/// everyone and never a member of that name.
#[must_use]
pub fn mentions<'a>(text: &str, names: impl IntoIterator<Item = (&'a str, MemberId)>) -> Mentions {
    let mut names: Vec<(&str, MemberId)> =
        names.into_iter().filter(|(name, _)| !name.is_empty() && *name != EVERYONE).collect();
    // Longest first; equal names side by side.
    names.sort_by(|a, b| (b.0.len(), a).cmp(&(a.0.len(), b)));
    let mut found = Mentions::default();
    let mut rest = text;
    let mut before = None;
    while let Some(at) = rest.find('@') {
        let previous = rest[..at].chars().next_back().or(before);
        let after = &rest[at + 1..];
        before = Some('@');
        rest = after;
        if previous.is_some_and(|c| is_word(c) || c == '@') {
            continue;
        }
        let fits = |name: &str| after.strip_prefix(name).is_some_and(|rest| !rest.starts_with(is_word));
        let longest = names.iter().find(|(name, _)| fits(name)).map(|(name, _)| *name);
        let named = match longest {
            Some(name) if name.len() > EVERYONE.len() || !fits(EVERYONE) => {
                for (_, member) in names.iter().filter(|(other, _)| *other == name) {
                    if !found.members.contains(member) {
                        found.members.push(*member);
                    }
                }
                name
            }
            _ if fits(EVERYONE) => {
                found.everyone = true;
                EVERYONE
            }
            _ => continue,
        };
        before = named.chars().next_back();
        rest = &after[named.len()..];
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn member(n: u8) -> MemberId {
        MemberId::from_bytes([n; 32])
    }

    const ANN: MemberId = member(1);
    const ANNA: MemberId = member(2);
    const ANN_LEE: MemberId = member(3);
    const NAMES: [(&str, MemberId); 6] = [
        ("ann", ANN),
        ("anna", ANNA),
        ("ann lee", ANN_LEE),
        ("żółw", member(4)),
        ("ann-marie", member(5)),
        ("all", member(6)),
    ];

    fn found(text: &str) -> Vec<MemberId> {
        mentions(text, NAMES).members
    }

    #[test]
    fn the_longest_name_is_meant() {
        assert_eq!(found("@ann lee and @ann, @anna."), [ANN_LEE, ANN, ANNA]);
        assert_eq!(found("@ann leeward"), [ANN]);
        assert_eq!(found("@ann-marie"), [member(5)]);
        assert_eq!(found("@ann-mariette"), [ANN]);
    }

    #[test]
    fn mentions_stand_at_the_borders_of_words() {
        for text in ["ann", "a@ann", "_@ann", "@@ann", "@annex", "@ann_", "@ ann", "@Ann", "@żółwik", "@bob", "@", ""]
        {
            assert_eq!(found(text), [], "{text}");
        }
        for text in ["@ann", "(@ann)", "@ann's", "@ann/main", "\u{201c}@ann\u{201d}", "x, @ann @ann", "@ann@anna"] {
            assert_eq!(found(text), [ANN], "{text}");
        }
        assert_eq!(found("…@żółw!"), [member(4)]);
    }

    #[test]
    fn everyone_is_no_member() {
        assert_eq!(mentions("@all: @ann", NAMES), Mentions { members: [ANN].into(), everyone: true });
        assert!(!mentions("@allow @ann", NAMES).everyone);
        let longer = mentions("@all hands", [("all hands", ANN)]);
        assert_eq!(longer, Mentions { members: [ANN].into(), everyone: false });
    }

    #[test]
    fn a_name_of_two_members_mentions_both() {
        assert_eq!(mentions("@bob @bob", [("bob", ANNA), ("bob", ANN)]).members, [ANN, ANNA]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[@anel żółw\u{301}🦀_-]{0,24}") {
            let found = mentions(&text, NAMES);
            prop_assert!(found.members.len() <= NAMES.len());
        }
    }
}
