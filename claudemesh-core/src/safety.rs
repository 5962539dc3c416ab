//! Safety numbers: what two people compare by eye or voice to know that no one stands between them.
//!
//! A number is fixed for the life of both members: a new device is an event, not a change of number.

use core::fmt;

use crate::hash::Label;
use crate::id::{MemberId, MeshId};

/// How many groups of five digits a safety number has.
pub const GROUPS: usize = 12;

/// The safety number of two members. Shown as 12 groups of 5 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafetyNumber([u32; GROUPS]);

impl SafetyNumber {
    /// The groups, each below 100,000.
    #[must_use]
    pub const fn groups(&self) -> &[u32; GROUPS] {
        &self.0
    }
}

impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, group) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{group:05}")?;
        }
        Ok(())
    }
}

/// The safety number of two members of a mesh, in either order.
#[must_use]
pub fn safety_number(mesh: &MeshId, a: &MemberId, b: &MemberId) -> SafetyNumber {
    let number = Label::new("safety-number").hash(&[mesh.as_bytes(), a.min(b).as_bytes(), a.max(b).as_bytes()]);
    let label = Label::new("safety-group");
    let mut groups = [0; GROUPS];
    for (i, group) in (0u32..).zip(&mut groups) {
        let hash = label.hash(&[&i.to_be_bytes(), &number]);
        // Reducing after every byte gives the remainder of the whole five-byte integer.
        *group = hash[..5].iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % 100_000);
    }
    SafetyNumber(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    const MESH: MeshId = MeshId::from_bytes([1; 32]);
    const A: MemberId = MemberId::from_bytes([2; 32]);
    const B: MemberId = MemberId::from_bytes([3; 32]);

    #[test]
    fn both_sides_see_the_same_number() {
        assert_eq!(safety_number(&MESH, &A, &B), safety_number(&MESH, &B, &A));
    }

    #[test]
    fn another_mesh_or_member_gives_another_number() {
        let number = safety_number(&MESH, &A, &B);
        assert_ne!(number, safety_number(&MeshId::from_bytes([4; 32]), &A, &B));
        assert_ne!(number, safety_number(&MESH, &A, &MemberId::from_bytes([4; 32])));
    }

    #[test]
    fn it_shows_as_twelve_groups_of_five_digits() {
        let text = safety_number(&MESH, &A, &B).to_string();
        let groups: std::vec::Vec<_> = text.split(' ').collect();
        assert_eq!(groups.len(), 12);
        assert!(groups.iter().all(|group| group.len() == 5 && group.bytes().all(|byte| byte.is_ascii_digit())));
    }

    #[test]
    fn groups_are_the_five_byte_integers_modulo_a_hundred_thousand() {
        let number = Label::new("safety-number").hash(&[&[1; 32], &[2; 32], &[3; 32]]);
        for (i, group) in safety_number(&MESH, &A, &B).groups().iter().enumerate() {
            let hash = Label::new("safety-group").hash(&[&(i as u32).to_be_bytes(), &number]);
            let integer = hash[..5].iter().fold(0u64, |integer, byte| integer << 8 | u64::from(*byte));
            assert_eq!(u64::from(*group), integer % 100_000);
        }
    }
}
