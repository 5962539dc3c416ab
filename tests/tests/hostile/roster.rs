//! A broker that forges membership, shows two rosters, or tampers with names and presence.

use claudemesh_client::{Mesh, Receipt, api};
use claudemesh_core::codec::{self, HashBytes, List};
use claudemesh_core::hash::Label;
use claudemesh_core::roster::{Entry, EntryBody, JoinStatement, Kind, MemberJoined, Payload, Role, RoleChanged};
use claudemesh_core::testing::SeededRng;
use claudemesh_core::wire::{self, Body, Frame};
use claudemesh_core::{Roster, RosterHead, SigningKey};
use claudemesh_tests::hostile::{
    Citizen, PATIENCE, Rogue, Town, Verdict, Way, bodies, deliver, settled, state, warned, warnings,
};

/// The next entry of a roster, signed by whoever, valid or not.
fn entry(roster: &Roster, key: &SigningKey, payload: &Payload) -> Vec<u8> {
    let head = roster.head();
    let body = EntryBody {
        mesh: Some(roster.mesh()),
        index: head.index + 1,
        previous: head.hash,
        author: key.public().device_id(),
        kind: payload.kind(),
        payload: payload.encode().into(),
    };
    body.sign(key)
}

fn push(index: u64, entry: &[u8]) -> Vec<u8> {
    Frame::push(wire::RosterPush { index, entry: entry.into() }).encode()
}

/// An entry that the rules do not permit is refused by name, and nobody has joined or risen.
async fn refused(forge: impl FnOnce(&Rogue) -> Vec<u8>) {
    refused_at(|rogue| (rogue.roster().head().index + 1, forge(rogue))).await;
}

/// The same of an entry in any place.
async fn refused_at(forge: impl FnOnce(&Rogue) -> (u64, Vec<u8>)) {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    let rogue = Rogue::join(&town, &alice.link().await).await;
    settled("bob knows the member", async || (bob.mesh.members().await.unwrap().len() == 3).then_some(())).await;
    let members = async || {
        let members = bob.mesh.members().await.unwrap();
        members.into_iter().map(|member| (member.id, member.role, member.devices)).collect::<Vec<_>>()
    };
    let before = members().await;
    let (index, entry) = forge(&rogue);
    bob.mallory.say(push(index, &entry));
    warned(&bob.mesh, "invalid_roster_entry").await;
    assert_eq!(warnings(&bob.mesh).await, ["invalid_roster_entry"]);
    assert_eq!(members().await, before);
    deliver(&alice, &bob, "bob").await;
    deliver(&bob, &alice, "alice").await;
    // The true chain goes on where it was.
    town.guest("carol", &alice).await;
    bob.knows("carol").await;
}

#[tokio::test]
async fn a_ghost_member_whom_nobody_invited_is_refused() {
    refused(|rogue| {
        let rng = &mut SeededRng::new(1);
        let (ghost, invite) = (SigningKey::generate(rng), SigningKey::generate(rng));
        let statement = codec::encode(&JoinStatement::new(ghost.public(), Kind::Human, Some(rogue.mesh), rng));
        let signed = [&rogue.mesh.as_bytes()[..], &statement].concat();
        let signature = invite.sign(Label::new("invite-join"), &signed);
        let joined = MemberJoined { statement: statement.into(), invite: invite.public().invite_id(), signature };
        entry(&rogue.roster(), &ghost, &Payload::MemberJoined(joined))
    })
    .await;
}

#[tokio::test]
async fn a_member_who_makes_itself_owner_is_refused() {
    refused(|rogue| {
        let risen = RoleChanged { member: rogue.member(), role: Role::Owner };
        entry(&rogue.roster(), &rogue.key, &Payload::RoleChanged(risen))
    })
    .await;
}

#[tokio::test]
async fn an_entry_signed_by_another_key_is_refused() {
    refused(|rogue| {
        let roster = rogue.roster();
        let owner = roster.members().find(|member| member.role == Role::Owner).unwrap();
        let risen = RoleChanged { member: rogue.member(), role: Role::Owner };
        let payload = Payload::RoleChanged(risen);
        let head = rogue.roster().head();
        let body = EntryBody {
            mesh: Some(rogue.mesh),
            index: head.index + 1,
            previous: head.hash,
            author: owner.devices[0],
            kind: payload.kind(),
            payload: payload.encode().into(),
        };
        body.sign(&rogue.key)
    })
    .await;
}

/// An entry in the owner's name, at this index and after this hash, that the owner has not signed.
fn made_up(rogue: &Rogue, index: u64, previous: [u8; 32]) -> Vec<u8> {
    let roster = rogue.roster();
    let owner = roster.members().find(|member| member.role == Role::Owner).unwrap();
    let payload = Payload::RoleChanged(RoleChanged { member: rogue.member(), role: Role::Owner });
    let body = EntryBody {
        mesh: Some(rogue.mesh),
        index,
        previous: HashBytes(previous),
        author: owner.devices[0],
        kind: payload.kind(),
        payload: payload.encode().into(),
    };
    body.sign(&SigningKey::generate(&mut SeededRng::new(3)))
}

#[tokio::test]
async fn an_entry_that_nobody_signed_is_no_fork_in_the_place_of_another() {
    refused_at(|rogue| {
        let index = rogue.roster().head().index;
        (index, made_up(rogue, index, rogue.roster().hash_at(index - 1).unwrap()))
    })
    .await;
}

#[tokio::test]
async fn an_entry_that_nobody_signed_is_no_fork_after_a_history_that_never_was() {
    refused_at(|rogue| {
        let next = rogue.roster().head().index + 1;
        (next, made_up(rogue, next, [7; 32]))
    })
    .await;
}

#[tokio::test]
async fn bytes_that_are_no_entry_are_no_fork() {
    refused_at(|rogue| (rogue.roster().head().index, vec![0; 64])).await;
}

#[tokio::test]
async fn a_head_that_is_named_and_never_shown_is_no_fork() {
    let town = Town::new().await;
    let (mut owner, alice, mut bob) = trap(&town).await;
    owner.sync().await;
    let index = owner.roster().head().index;
    let head = RosterHead { index: index - 1, hash: HashBytes([7; 32]) };
    bob.mallory.tamper(move |_, frame| match &frame.body {
        Body::RosterEntries(_) => Verdict::frame(frame.request, wire::RosterEntries { entries: List::default(), head }),
        _ => Verdict::Pass,
    });
    bob.mallory.say(push(index + 5, &[]));
    warned(&bob.mesh, "invalid_roster_entry").await;
    assert_eq!(warnings(&bob.mesh).await, ["invalid_roster_entry"]);
    // It waits long before it trusts this broker again; a new process does at once.
    bob.mallory.reform();
    bob.mesh.close().await.unwrap();
    bob.mesh = Mesh::builder().home(town.path().join("bob")).embedded().open().await.unwrap();
    deliver(&alice, &bob, "bob").await;
}

#[tokio::test]
async fn a_shorter_roster_with_an_entry_of_another_history_is_a_fork() {
    let town = Town::new().await;
    let (mut owner, _alice, bob) = trap(&town).await;
    let [true_way, other_way] = two_ways(&owner);
    let before = owner.roster();
    owner.append(true_way).await;
    let next = owner.roster().close_invite(&owner.key, &before.invites().next().unwrap().id).unwrap();
    owner.append(next).await;
    let index = owner.roster().head().index;
    settled("bob has the entries", async || {
        (bob.mesh.status().await.unwrap().meshes[0].roster_index == index).then_some(())
    })
    .await;
    let hash = *Entry::parse(&other_way).unwrap().hash();
    let head = RosterHead { index: index - 1, hash: HashBytes(hash) };
    let mut asked = 0;
    bob.mallory.tamper(move |_, frame| match &frame.body {
        Body::RosterRange(range) => {
            asked = range.from;
            Verdict::Pass
        }
        Body::RosterEntries(_) => {
            let last = (asked == head.index).then(|| other_way.as_slice().into());
            let entries = List::from_vec(last.into_iter().collect()).unwrap();
            Verdict::frame(frame.request, wire::RosterEntries { entries, head })
        }
        _ => Verdict::Pass,
    });
    bob.mallory.say(push(index + 5, &[]));
    warned(&bob.mesh, "roster_fork").await;
}

/// A mesh whose owner works with the broker, and two honest members of it; Bob has a home.
async fn trap(town: &Town) -> (Rogue, Citizen, Citizen) {
    let mut owner = Rogue::found(town).await;
    let alice = town.joiner("alice", &owner.link().await, None).await;
    let bob = town.joiner("bob", &owner.link().await, Some(&town.path().join("bob"))).await;
    alice.knows("bob").await;
    bob.knows("alice").await;
    owner.sync().await;
    (owner, alice, bob)
}

/// Two entries for one place, both valid.
fn two_ways(owner: &Rogue) -> [Vec<u8>; 2] {
    [1, 2].map(|seed| {
        let invite = SigningKey::generate(&mut SeededRng::new(seed)).public();
        let expires = claudemesh_core::Seconds(4_000_000_000);
        let invite = claudemesh_core::roster::NewInvite::to_join(invite, 1, expires, Vec::new());
        owner.roster().create_invite(&owner.key, invite).unwrap()
    })
}

#[tokio::test]
async fn a_forked_roster_stops_the_one_who_sees_it_until_the_broker_is_honest() {
    let town = Town::new().await;
    let (mut owner, alice, mut bob) = trap(&town).await;
    let [true_way, other_way] = two_ways(&owner);
    owner.append(true_way).await;
    let index = owner.roster().head().index;
    settled("bob has the entry", async || {
        (bob.mesh.status().await.unwrap().meshes[0].roster_index == index).then_some(())
    })
    .await;
    bob.mallory.say(push(index, &other_way));
    warned(&bob.mesh, "roster_fork").await;
    // Nothing is sent across the fork; what is asked for waits on the own disk.
    let mark = bob.mallory.mark();
    let sent = bob.send("alice", "after the fork").await;
    assert_eq!(state(&bob.mesh, sent.id()).await.0, api::State::Queued);
    assert!(!bob.mallory.saw(mark, |_, body| matches!(body, Body::Enqueue(_))));
    let id = sent.id().to_owned();
    bob.mesh.close().await.unwrap();
    bob.mesh = Mesh::builder().home(town.path().join("bob")).embedded().open().await.unwrap();
    settled("it arrives", async || (state(&bob.mesh, &id).await.0 == api::State::Delivered).then_some(())).await;
    assert_eq!(bodies(&alice.mesh).await, ["after the fork"]);
    assert!(warnings(&alice.mesh).await.is_empty());
    deliver(&alice, &bob, "bob").await;
}

#[tokio::test]
async fn the_first_message_that_crosses_a_fork_reveals_it() {
    let town = Town::new().await;
    let (mut owner, alice, bob) = trap(&town).await;
    deliver(&alice, &bob, "bob").await;
    let [true_way, other_way] = two_ways(&owner);
    let index = owner.roster().head().index + 1;
    bob.mallory.tamper(move |_, frame| match &frame.body {
        Body::RosterPush(push) if push.index == index => {
            Verdict::frame(0, wire::RosterPush { index, entry: other_way.as_slice().into() })
        }
        _ => Verdict::Pass,
    });
    owner.append(true_way).await;
    for who in [&alice, &bob] {
        settled("the entry is taken", async || {
            (who.mesh.status().await.unwrap().meshes[0].roster_index == index).then_some(())
        })
        .await;
    }
    assert!(warnings(&bob.mesh).await.is_empty(), "so far nothing can be seen");
    let sent = alice.accepted("bob", "across").await;
    warned(&bob.mesh, "roster_fork").await;
    assert_eq!(bodies(&bob.mesh).await.len(), 1, "what crosses is not shown");
    assert_eq!(state(&alice.mesh, sent.id()).await.0, api::State::Accepted);
    let heads = [&alice, &bob].map(|who| who.mesh.clone());
    let [hers, his] = [&heads[0], &heads[1]];
    let (hers, his) = (hers.status().await.unwrap(), his.status().await.unwrap());
    assert_eq!(hers.meshes[0].roster_index, his.meshes[0].roster_index);
    assert_ne!(hers.meshes[0].roster_hash, his.meshes[0].roster_hash, "both can compare their heads");
}

#[tokio::test]
async fn a_forged_name_is_not_believed() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    bob.mallory.tamper(|_, frame| match &frame.body {
        Body::LogPush(push) => {
            let mut entry = push.entry.0.clone();
            let middle = entry.len() / 2;
            entry[middle] ^= 1;
            Verdict::frame(0, wire::LogPush { log: push.log, offset: push.offset, entry: entry.into() })
        }
        _ => Verdict::Pass,
    });
    let carol = town.guest("carol", &alice).await;
    warned(&bob.mesh, "log_fork").await;
    assert!(!bob.mesh.peers().await.unwrap().iter().any(|peer| peer.name == "carol"));
    deliver(&alice, &bob, "bob").await;
    bob.mallory.reform();
    bob.mallory.cut();
    bob.knows("carol").await;
    carol.send("bob", "it is me").await.wait(Receipt::Delivered).timeout(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn forged_presence_is_not_shown() {
    let town = Town::new().await;
    let (alice, bob) = town.pair().await;
    let shown = async || {
        let peers = bob.mesh.peers().await.unwrap();
        peers.into_iter().find(|peer| peer.name == "alice").unwrap().summary
    };
    alice.mesh.set_summary("true").await.unwrap();
    settled("the summary is known", async || (shown().await.as_deref() == Some("true")).then_some(())).await;
    bob.mallory.tamper(|way, frame| match &frame.body {
        Body::PresencePush(push) if way == Way::Down => {
            let mut devices: Vec<_> = push.devices.iter().cloned().collect();
            for presence in devices.iter_mut().filter_map(|device| device.presence.as_mut()) {
                let middle = presence.0.len() / 2;
                presence.0[middle] ^= 1;
            }
            Verdict::frame(0, wire::PresencePush { devices: List::from_vec(devices).unwrap() })
        }
        _ => Verdict::Pass,
    });
    alice.mesh.set_summary("forged").await.unwrap();
    warned(&bob.mesh, "forged").await;
    assert_eq!(shown().await.as_deref(), Some("true"));
    bob.mallory.reform();
    alice.mesh.set_summary("honest").await.unwrap();
    settled("the next one is known", async || (shown().await.as_deref() == Some("honest")).then_some(())).await;
    deliver(&alice, &bob, "bob").await;
}
