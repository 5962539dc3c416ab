//! The client's own state machine at the other end.

use claudemesh_core::envelope::Priority;
use claudemesh_core::presence::BootId;
use claudemesh_core::session::{Action, Change, Command, Identity, Input, MessageState, Outgoing, Session, Snapshot};
use claudemesh_core::{MessageId, SigningKey};

use super::world::{World, wait};
use crate::config::EngineConfig;
use crate::connection::Conn;

struct Client {
    session: Session,
    conn: Option<Conn>,
    texts: usize,
    states: Vec<MessageState>,
}

impl Client {
    fn new(world: &World, at: usize) -> Self {
        let identity = Identity {
            key: SigningKey::from_seed(&world.peers[at].key.seed()),
            boot: BootId::from_bytes([at as u8; 16]),
            pinned: vec![world.engine.public_key()],
        };
        let roster = world.entries.iter().map(|entry| entry.clone().into()).collect();
        let session = Session::load(identity, Snapshot { roster, ..Snapshot::default() }).unwrap();
        Self { session, conn: None, texts: 0, states: Vec::new() }
    }

    /// Hands an input over and carries out what follows; whether anything did.
    fn handle(&mut self, world: &mut World, input: Input<'_>) -> bool {
        let mut actions = self.session.handle(input, world.now, &mut world.rng);
        actions.extend(self.session.handle(Input::Flush, world.now, &mut world.rng));
        let busy = !actions.is_empty();
        for action in actions {
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
        if self.session.deadline().is_some_and(|at| at <= world.now) {
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
fn run(world: &mut World, clients: &mut [Client], seconds: u64) {
    for _ in 0..seconds * 4 {
        world.now = world.now.plus(250);
        wait(world.engine.tick(world.now));
        while clients.iter_mut().fold(false, |busy, client| client.run(world) | busy) {}
    }
}

#[test]
fn two_sessions_find_each_other_and_talk() {
    let mut world = World::with(EngineConfig::default());
    world.connect(0);
    world.join();
    world.disconnect(0);
    world.disconnect(1);
    let mut clients = [Client::new(&world, 0), Client::new(&world, 1)];
    for (at, name) in ["alice", "bob"].into_iter().enumerate() {
        clients[at].handle(&mut world, Input::Command(Command::SetName(name.into())));
    }
    run(&mut world, &mut clients, 20);
    assert!(clients.iter().all(|client| client.session.is_ready()));
    let member = clients[1].session.member();
    assert_eq!(clients[0].session.directory().name_of(&member), Some("bob"));
    for n in 0..300 {
        let outgoing = Outgoing {
            id: MessageId::generate(world.now, &mut world.rng),
            to: member,
            session: None,
            from_session: None,
            text: format!("message {n}"),
            priority: Priority::Next,
            reply_to: None,
            ttl: 3_600_000,
        };
        clients[0].handle(&mut world, Input::Command(Command::Send(outgoing)));
    }
    // Long enough to ask once more for a record that was not there yet.
    run(&mut world, &mut clients, 40);
    assert_eq!(clients[1].texts, 300);
    let delivered = clients[0].states.iter().filter(|state| **state == MessageState::Delivered).count();
    assert_eq!(delivered, 300);
    assert_eq!(clients[0].session.faults().count() + clients[1].session.faults().count(), 0);
}
