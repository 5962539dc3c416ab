//! The chain that the vectors of rosters tell: each kind of entry once.

use std::collections::BTreeMap;

use claudemesh_core::codec::List;
use claudemesh_core::roster::{Broker, Entry, Kind, NewInvite, Role, create_genesis};
use claudemesh_core::testing::SeededRng;
use claudemesh_core::{MemberId, PublicKey, Roster, Seconds, SigningKey};
use serde_json::{Value, json};

use super::{fold, hex, invite_id};

pub(super) const EXPIRES: Seconds = Seconds(1_800_000_000);
pub(super) const REMOVED: &str = "a device removed, which closes the invite to link it made";

/// A chain in the making, with the roster after each of its entries.
pub(super) struct Chain {
    rng: SeededRng,
    keys: BTreeMap<&'static str, SigningKey>,
    /// Name, author and bytes.
    pub(super) entries: Vec<(&'static str, &'static str, Vec<u8>)>,
    pub(super) rosters: Vec<Roster>,
    pub(super) members: BTreeMap<&'static str, MemberId>,
}

impl Chain {
    fn new() -> Self {
        let mut rng = SeededRng::new(2026);
        let names = [
            "alice",
            "bob",
            "bob second",
            "carol",
            "dora",
            "erin",
            "broker",
            "broker two",
            "invite team",
            "invite guests",
            "invite bob",
            "invite spare",
            "invite back",
            "recovery",
            "recovery two",
            "stranger",
        ];
        let keys: BTreeMap<_, _> = names.map(|name| (name, SigningKey::generate(&mut rng))).into_iter().collect();
        let (genesis, _, alice) =
            create_genesis(&keys["alice"], &keys["recovery"].public(), Kind::Human, &mut rng).unwrap();
        let rosters = vec![Roster::genesis(&genesis).unwrap()];
        let entries = vec![("genesis", "alice", genesis)];
        Self { rng, keys, entries, rosters, members: [("alice", alice)].into() }
    }

    pub(super) fn key(&self, name: &str) -> &SigningKey {
        &self.keys[name]
    }

    pub(super) fn public(&self, name: &str) -> PublicKey {
        self.key(name).public()
    }

    pub(super) fn roster(&self) -> &Roster {
        self.rosters.last().unwrap()
    }

    fn push(&mut self, name: &'static str, author: &'static str, entry: Vec<u8>) {
        let mut roster = self.roster().clone();
        roster.apply(&entry).unwrap();
        self.rosters.push(roster);
        self.entries.push((name, author, entry));
    }

    fn invite(&mut self, name: &'static str, author: &'static str, key: &str, uses: u64, member: Option<&str>) {
        let welcome = vec![0xee; 48];
        let invite = match member {
            Some(member) => NewInvite::to_link(self.public(key), self.members[member], EXPIRES, welcome),
            None => NewInvite::to_join(self.public(key), uses, EXPIRES, welcome),
        };
        let entry = self.roster().create_invite(self.key(author), invite).unwrap();
        self.push(name, author, entry);
    }

    fn join(&mut self, name: &'static str, who: &'static str, invite: &str, kind: Kind) {
        let mut rng = self.rng.clone();
        let (entry, member) = self.roster().join(self.key(who), self.key(invite), kind, &mut rng).unwrap();
        self.rng = rng;
        self.members.insert(who, member);
        self.push(name, who, entry);
    }

    /// A chain with each kind of entry.
    pub(super) fn every_kind() -> Self {
        let mut chain = Self::new();
        let broker = |chain: &Self, name: &str, addresses: &[&str]| Broker {
            key: chain.public(name),
            addresses: List::from_vec(addresses.iter().map(ToString::to_string).collect()).unwrap(),
        };
        let brokers = vec![
            broker(&chain, "broker", &["wss://broker.example", "ws://10.0.0.7:8787"]),
            broker(&chain, "broker two", &["wss://two.example:4433"]),
        ];
        let entry = chain.roster().set_brokers(chain.key("alice"), brokers).unwrap();
        chain.push("broker set", "alice", entry);
        chain.invite("invite for the team", "alice", "invite team", 3, None);
        chain.join("bob joins", "bob", "invite team", Kind::Agent);
        chain.join("carol joins", "carol", "invite team", Kind::Service);
        let entry = chain.roster().change_role(chain.key("alice"), &chain.members["bob"], Role::Admin).unwrap();
        chain.push("bob becomes admin", "alice", entry);
        chain.invite("an admin's invite", "bob", "invite guests", 1, None);
        chain.join("dora joins by it", "dora", "invite guests", Kind::Human);
        chain.invite("invite to link a device", "bob", "invite bob", 1, Some("bob"));
        let entry =
            chain.roster().add_device(chain.key("bob second"), &chain.members["bob"], chain.key("invite bob")).unwrap();
        chain.push("bob's second device", "bob second", entry);
        chain.invite("a spare invite", "alice", "invite spare", 1000, None);
        let entry = chain.roster().close_invite(chain.key("bob"), &invite_id(chain.key("invite spare"))).unwrap();
        chain.push("an admin closes it", "bob", entry);
        chain.invite("the second device's own invite to link", "bob second", "invite back", 1, Some("bob"));
        let device = chain.public("bob second").device_id();
        let entry = chain.roster().remove_device(chain.key("alice"), &device).unwrap();
        chain.push(REMOVED, "alice", entry);
        let entry = chain.roster().remove_member(chain.key("carol"), &chain.members["carol"]).unwrap();
        chain.push("carol leaves, which closes the invite she joined by", "carol", entry);
        let entry = chain.roster().remove_member(chain.key("alice"), &chain.members["bob"]).unwrap();
        chain.push("bob removed, which closes the invites he made", "alice", entry);
        let mut rng = chain.rng.clone();
        let (recovery, next) = (chain.key("recovery"), chain.public("recovery two"));
        let (entry, erin) =
            chain.roster().owner_reset(chain.key("erin"), recovery, &next, Kind::Human, &mut rng).unwrap();
        chain.rng = rng;
        chain.members.insert("erin", erin);
        chain.push("owner reset", "erin", entry);
        let entry = chain.roster().close_mesh(chain.key("erin")).unwrap();
        chain.push("mesh closed", "erin", entry);
        chain
    }

    pub(super) fn after(&self, name: &str) -> usize {
        self.entries.iter().position(|entry| entry.0 == name).unwrap() + 1
    }

    pub(super) fn json(&self) -> Value {
        let keys: BTreeMap<_, _> = self
            .keys
            .iter()
            .map(|(name, key)| (*name, json!({ "seed": hex(*key.seed()), "public": hex(key.public().as_bytes()) })))
            .collect();
        let entries: Vec<Value> = self
            .entries
            .iter()
            .map(|(name, author, bytes)| {
                let entry = Entry::parse(bytes).unwrap();
                json!({
                    "name": name, "author": author, "author_id": entry.author().to_string(), "kind": entry.body().kind,
                    "payload": hex(&*entry.body().payload), "member": entry.new_member().map(|id| id.to_string()),
                    "bytes": hex(bytes), "hash": hex(entry.hash()),
                })
            })
            .collect();
        let folds: Vec<Value> =
            ["genesis", "an admin closes it", REMOVED, "bob removed, which closes the invites he made", "mesh closed"]
                .map(|name| fold(&self.rosters[self.after(name) - 1]))
                .into();
        json!({
            "name": "every kind", "mesh": self.roster().mesh().to_string(), "keys": keys, "entries": entries, "folds": folds,
        })
    }
}
