//! The client's own state machine at the other end.

use claudemesh_core::envelope::Priority;
use claudemesh_core::presence::BootId;
use claudemesh_core::session::{
    Action, Append, Change, Command, Identity, Input, MessageState, Outgoing, Session, Snapshot, Why,
};
use claudemesh_core::wire::ErrorCode;
use claudemesh_core::{MemberId, MessageId, Millis, PublicKey, SigningKey};

use super::world::{World, wait};
use crate::config::EngineConfig;
use crate::connection::Conn;

pub(super) struct Client {
    pub(super) session: Session,
    conn: Option<Conn>,
    pub(super) texts: usize,
    pub(super) states: Vec<MessageState>,
    /// How far its clock is ahead of the world's, milliseconds.
    pub(super) ahead: i64,
    seed: [u8; 32],
    pinned: PublicKey,
    snapshot: Snapshot,
}

fn load(seed: &[u8; 32], pinned: PublicKey, snapshot: &Snapshot) -> Session {
    let boot = BootId::from_bytes([seed[0]; 16]);
    let identity = Identity { key: SigningKey::from_seed(seed), boot, pinned: vec![pinned] };
    Session::load(identity, snapshot.clone()).unwrap()
}

impl Client {
    fn new(world: &World, at: usize) -> Self {
        let (seed, pinned) = (*world.peers[at].key.seed(), world.engine.public_key());
        let roster = world.entries.iter().map(|entry| entry.clone().into()).collect();
        let snapshot = Snapshot { roster, ..Snapshot::default() };
        let session = load(&seed, pinned, &snapshot);
        Self { session, conn: None, texts: 0, states: Vec::new(), ahead: 0, seed, pinned, snapshot }
    }

    /// Its process ends, and another begins with what was stored.
    pub(super) fn restart(&mut self, world: &mut World) {
        if let Some(conn) = self.conn.take() {
            world.engine.close(conn.id, world.now);
        }
        self.session = load(&self.seed, self.pinned, &self.snapshot);
    }

    /// What was stored.
    pub(super) fn stored(&self) -> &Snapshot {
        &self.snapshot
    }

    fn now(&self, world: &World) -> Millis {
        Millis(world.now.0.saturating_add_signed(self.ahead))
    }

    /// Hands an input over and carries out what follows; whether anything did.
    pub(super) fn handle(&mut self, world: &mut World, input: Input<'_>) -> bool {
        let now = self.now(world);
        let mut actions = self.session.handle(input, now, &mut world.rng);
        actions.extend(self.session.handle(Input::Flush, now, &mut world.rng));
        let busy = !actions.is_empty();
        for action in actions {
            if let Action::Persist(change) = &action {
                self.snapshot.apply(change);
            }
            match action {
                Action::Connect => {
                    self.conn = Some(world.engine.open(world.now, &mut world.rng).unwrap());
                    self.handle(world, Input::Opened);
                }
                Action::Disconnect => {
                    if let Some(conn) = self.conn.take() {
                        world.engine.close(conn.id, world.now);
                    }
                }
                Action::Send(frame) => {
                    if let Some(conn) = &self.conn {
                        wait(world.engine.receive(conn.id, &frame.encode(), world.now));
                    }
                }
                Action::Persist(Change::Inbox(_)) => self.texts += 1,
                Action::Persist(Change::State { state, visible: true, .. }) => self.states.push(state),
                _ => {}
            }
        }
        busy
    }

    /// Takes what the broker has for it.
    fn run(&mut self, world: &mut World) -> bool {
        let mut busy = false;
        if self.session.deadline().is_some_and(|at| at <= self.now(world)) {
            busy |= self.handle(world, Input::Tick);
        }
        if let Some(conn) = self.conn.clone() {
            if conn.outbox.take_work() {
                wait(world.engine.pump(conn.id, world.now));
                busy = true;
            }
            while let Some(bytes) = conn.outbox.try_next() {
                self.handle(world, Input::Frame(&bytes));
                busy = true;
            }
            if conn.outbox.has_ended() && self.conn.take().is_some() {
                self.handle(world, Input::Closed);
            }
        }
        busy
    }
}

/// Lets so many seconds pass.
pub(super) fn run(world: &mut World, clients: &mut [Client], seconds: u64) {
    for _ in 0..seconds * 4 {
        world.now = world.now.plus(250);
        wait(world.engine.tick(world.now));
        while clients.iter_mut().fold(false, |busy, client| client.run(world) | busy) {}
    }
}

pub(super) fn pair(world: &mut World) -> [Client; 2] {
    world.connect(0);
    world.join();
    world.disconnect(0);
    world.disconnect(1);
    [Client::new(world, 0), Client::new(world, 1)]
}

pub(super) fn say(world: &mut World, from: &mut Client, to: MemberId, text: String) {
    let outgoing = Outgoing {
        id: MessageId::generate(world.now, &mut world.rng),
        to: vec![to],
        session: None,
        from_session: None,
        text,
        priority: Priority::Next,
        reply_to: None,
        ttl: 3_600_000,
    };
    from.handle(world, Input::Command(Command::Send(outgoing)));
}

#[test]
fn two_sessions_find_each_other_and_talk() {
    let mut world = World::with(EngineConfig::default());
    let mut clients = pair(&mut world);
    for (at, name) in ["alice", "bob"].into_iter().enumerate() {
        clients[at].handle(&mut world, Input::Command(Command::SetName(name.into())));
    }
    run(&mut world, &mut clients, 20);
    assert!(clients.iter().all(|client| client.session.is_ready()));
    let member = clients[1].session.member();
    assert_eq!(clients[0].session.directory().name_of(&member), Some("bob"));
    for n in 0..300 {
        say(&mut world, &mut clients[0], member, format!("message {n}"));
    }
    run(&mut world, &mut clients, 20);
    assert_eq!(clients[1].texts, 300);
    let delivered = clients[0].states.iter().filter(|state| **state == MessageState::Delivered).count();
    assert_eq!(delivered, 300);
    assert_eq!(clients[0].session.faults().count() + clients[1].session.faults().count(), 0);
}

#[test]
fn what_waits_for_a_prekey_goes_out_when_the_recipient_comes_online() {
    let mut world = World::with(EngineConfig::default());
    let [mut alice, bob] = pair(&mut world);
    let member = bob.session.member();
    run(&mut world, std::slice::from_mut(&mut alice), 5);
    say(&mut world, &mut alice, member, "early".into());
    run(&mut world, std::slice::from_mut(&mut alice), 5);
    assert_eq!(alice.states, [MessageState::Held(Why::NoPrekey)], "he never connected");
    let mut clients = [alice, bob];
    // Far less than the half minute after which a record is asked for again anyway.
    run(&mut world, &mut clients, 5);
    assert_eq!(clients[1].texts, 1);
    assert_eq!(clients[0].states.last(), Some(&MessageState::Delivered));
}

#[test]
fn a_removal_ends_what_waits_on_both_sides() {
    let mut world = World::with(EngineConfig::default());
    let [mut alice, mut bob] = pair(&mut world);
    let (alices, bobs) = (alice.session.member(), bob.session.member());
    run(&mut world, std::slice::from_mut(&mut alice), 5);
    say(&mut world, &mut alice, bobs, "held".into());
    say(&mut world, &mut bob, alices, "never sent".into());
    let leave = Command::Append { token: 1, append: Append::RemoveMember(bobs) };
    alice.handle(&mut world, Input::Command(leave));
    run(&mut world, std::slice::from_mut(&mut alice), 1);
    assert_eq!(alice.states.last(), Some(&MessageState::Refused(Why::Broker(ErrorCode::UnknownRecipient))));
    run(&mut world, std::slice::from_mut(&mut bob), 5);
    assert!(bob.session.is_halted());
    let removed = MessageState::Refused(Why::Broker(ErrorCode::Removed));
    assert_eq!(bob.states, [removed]);
    say(&mut world, &mut bob, alices, "after it".into());
    assert_eq!(bob.states, [removed; 2], "nothing waits for what will not come");
}
