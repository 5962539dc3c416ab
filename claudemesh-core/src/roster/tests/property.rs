//! Random lives of a mesh: what must hold after every valid entry, whoever made it.

use alloc::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// What is tried: a kind of entry, who tries it, and two choices of what it is about.
type Step = (u8, u8, u8, u8);

struct Life {
    rng: SeededRng,
    entries: Vec<Vec<u8>>,
    roster: Roster,
    recovery: SigningKey,
    devices: Vec<SigningKey>,
    invites: Vec<SigningKey>,
    dead_devices: BTreeSet<DeviceId>,
    dead_members: BTreeSet<MemberId>,
}

fn pick<T>(items: &[T], choice: u8) -> &T {
    &items[choice as usize % items.len()]
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut rng = SeededRng::new(seed);
        let [alice, recovery, invite] = core::array::from_fn(|_| SigningKey::generate(&mut rng));
        let (genesis, ..) = create_genesis(&alice, &recovery.public(), Kind::Service, &mut rng).unwrap();
        Self {
            rng,
            roster: Roster::genesis(&genesis).unwrap(),
            entries: vec![genesis],
            recovery,
            devices: vec![alice],
            invites: vec![invite],
            dead_devices: BTreeSet::new(),
            dead_members: BTreeSet::new(),
        }
    }

    /// Tries one entry. Old and fresh keys alike are tried as joining devices, invites and recovery keys.
    fn attempt(&mut self, (what, who, first, second): Step) -> Result<Vec<u8>, RosterError> {
        let fresh = SigningKey::generate(&mut self.rng);
        let author = pick(&self.devices, who);
        let newcomer = if second % 4 == 0 { author } else { &fresh };
        let members: Vec<MemberId> = self.roster.members().map(|member| member.id).collect();
        let member = pick(&members, first);
        let device = id(pick(&self.devices, first));
        let invite = pick(&self.invites, second);
        let own = self.roster.device(&id(author)).map_or(*member, |device| device.member);
        let entry = match what % 16 {
            0 | 1 => self.roster.create_invite(author, to_join(newcomer, u64::from(first % 4)))?,
            2 | 3 => self.roster.create_invite(author, to_link(newcomer, own))?,
            4 => self.roster.close_invite(author, &invite_id(invite))?,
            5..=7 => self.roster.join(newcomer, invite, Kind::Agent, &mut self.rng)?.0,
            8 | 9 => self.roster.add_device(newcomer, member, invite)?,
            10 => self.roster.remove_device(author, &device)?,
            11 | 12 => self.roster.change_role(
                author,
                member,
                [Role::Member, Role::Admin, Role::Owner][second as usize % 3],
            )?,
            13 => self.roster.remove_member(author, member)?,
            14 => self.roster.set_brokers(author, vec![broker(first, &["ws://a"]), broker(second, &["ws://b"])])?,
            _ if first % 4 == 0 => {
                let recovery = if second % 2 == 0 { &self.recovery } else { author };
                let next = if second % 3 == 0 { recovery } else { newcomer };
                let reset = self.roster.owner_reset(newcomer, recovery, &next.public(), Kind::Human, &mut self.rng)?;
                self.recovery = SigningKey::from_seed(&next.seed());
                reset.0
            }
            _ if first == 1 => self.roster.close_mesh(author)?,
            _ => return Err(RosterError::NotAllowed),
        };
        match what % 16 {
            0..=3 => self.invites.push(fresh),
            _ => self.devices.push(fresh),
        }
        Ok(entry)
    }

    fn step(&mut self, step: Step) {
        let before = self.roster.clone();
        let Ok(bytes) = self.attempt(step) else {
            assert_eq!(self.roster, before);
            return;
        };
        let applied = self.roster.apply(&bytes).unwrap();
        self.entries.push(bytes);
        self.dead_devices.extend(applied.removed_devices);
        self.dead_members.extend(applied.removed_member);
        self.holds();
        // An entry is valid once.
        assert!(self.roster.check(self.entries.last().unwrap()).is_err());
    }

    fn holds(&self) {
        let roster = &self.roster;
        let owners = roster.members().filter(|member| member.is_live() && member.role == Role::Owner).count();
        assert!(owners >= 1 && owners == roster.owner_count());
        for member in roster.members() {
            let live = roster.devices_of(&member.id).filter(|device| device.is_live()).count();
            assert!(live <= MAX_LIVE_DEVICES && (member.is_live() || live == 0));
            assert!(roster.devices_of(&member.id).all(|device| device.member == member.id));
            assert_eq!(member.is_live(), !self.dead_members.contains(&member.id));
        }
        for device in roster.devices() {
            assert_eq!(device.is_live(), !self.dead_devices.contains(&device.id));
        }
        for invite in roster.invites() {
            assert!(invite.used <= invite.uses && invite.joined.len() as u64 <= invite.used);
            let creator = roster.member(&invite.creator).unwrap();
            assert!(creator.is_live() || invite.is_closed());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_entries_breaks_the_roster(
        seed in 0u64..1000,
        steps in proptest::collection::vec(any::<Step>(), 1..60),
    ) {
        let mut life = Life::new(seed);
        for step in steps {
            life.step(step);
        }
        prop_assert_eq!(Roster::from_entries(&life.entries).unwrap(), life.roster);
    }

    #[test]
    fn damaged_entries_are_refused(which in 1usize..10, at in any::<usize>(), flip in 1u8.., cut in any::<bool>()) {
        let world = World::new();
        let before = Roster::from_entries(&world.entries[..which]).unwrap();
        let mut bytes = world.entries[which].clone();
        prop_assert!(before.check(&bytes).is_ok());
        let at = at % bytes.len();
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= flip;
        }
        prop_assert!(before.check(&bytes).is_err());
        prop_assert!(Roster::genesis(&bytes).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0u64..12) {
        let world = World::new();
        let _ = Entry::parse(&bytes);
        let _ = Payload::decode(kind, &bytes);
        let _ = JoinStatement::parse(&bytes);
        // Signed by an owner, it reaches the innermost decoders.
        let mut body = world.body(&world.alice, &Payload::MeshClosed(MeshClosed {}));
        (body.kind, body.payload) = (kind, bytes.into());
        let _ = world.roster.check(&body.sign(&world.alice));
    }
}
