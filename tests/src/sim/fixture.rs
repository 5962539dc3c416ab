//! A mesh to begin with: built once, without faults, by the same code that is then tried with faults.

use claudemesh_core::codec::Bytes;
use claudemesh_core::invite::LinkSecret;
use claudemesh_core::roster::{Kind, NewInvite, create_genesis};
use claudemesh_core::testing::SeededRng;
use claudemesh_core::{MeshId, Millis, Roster, SigningKey};

use super::World;
use super::broker::Disk;
use super::join::Link;
use super::peer::{Peer, Store};
use super::plan::Plan;
use super::world::EPOCH;

pub(super) const BROKER_KEY: [u8; 32] = [77; 32];
const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// A mesh of three, and the same mesh when its owner was alone.
#[derive(Debug)]
pub struct Fixture {
    mesh: MeshId,
    genesis: (Disk, Vec<Bytes>),
    joined: (Disk, Vec<Store>),
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

impl Fixture {
    /// Builds it.
    ///
    /// # Panics
    /// When a mesh cannot be built without faults.
    #[must_use]
    pub fn new() -> Self {
        let rng = &mut SeededRng::new(1);
        let owner = SigningKey::from_seed(&key_of(0));
        let (genesis, mesh, _) =
            create_genesis(&owner, &SigningKey::from_seed(&[9; 32]).public(), Kind::Human, rng).expect("a genesis");
        let mut roster = Roster::genesis(&genesis).expect("a roster");
        let late = LinkSecret::from_bytes(invite_of(3)).invite_key().public();
        let expires = Millis(EPOCH + 365 * 24 * 3600 * 1000).seconds();
        let invite = roster.create_invite(&owner, NewInvite::to_join(late, 1, expires, Vec::new())).expect("an invite");
        roster.apply(&invite).expect("a valid entry");
        let mut disk = Disk::new([5; 16]);
        let entries: Vec<Bytes> = vec![genesis.into(), invite.into()];
        for entry in &entries {
            disk.append(entry);
        }
        let genesis = (disk.clone(), entries);
        let mut fixture = Self { mesh, genesis, joined: (disk, Vec::new()) };
        let mut world = World::new(&fixture, Plan::quiet(), true);
        if let Err(what) = world.play() {
            panic!("{}\na mesh cannot be built: {what}", world.take_trace().join("\n"));
        }
        let (disk, peers) = world.into_parts();
        fixture.joined = (disk, peers.into_iter().map(|peer| peer.store).collect());
        fixture
    }

    /// Disk and peers at the beginning of a play.
    pub(super) fn begin(&self, plan: &Plan) -> (Disk, Vec<Peer>) {
        let broker = SigningKey::from_seed(&BROKER_KEY).public();
        let link = |secret| Some(Link { secret, mesh: self.mesh, broker });
        let mut peers: Vec<Peer> = (0..3).map(|who| Peer::new(NAMES[who], key_of(who), Store::default())).collect();
        if plan.fresh {
            peers[0].store.snapshot.roster = self.genesis.1.clone();
            peers[1].link = link(invite_of(1));
            peers[2].link = link(invite_of(2));
            return (self.genesis.0.clone(), peers);
        }
        for (peer, store) in peers.iter_mut().zip(&self.joined.1) {
            peer.store = store.clone();
            if plan.engine {
                // Its store is another one than the reference broker's.
                peer.store.snapshot.resume = None;
            }
        }
        if plan.joins.is_some() {
            let mut late = Peer::new(NAMES[3], key_of(3), Store::default());
            late.link = link(invite_of(3));
            peers.push(late);
        }
        (self.joined.0.clone(), peers)
    }
}

/// The secret of the link by which a peer joins.
pub(super) fn invite_of(who: usize) -> [u8; 32] {
    [who as u8 + 80; 32]
}

fn key_of(who: usize) -> [u8; 32] {
    [who as u8 + 1; 32]
}
