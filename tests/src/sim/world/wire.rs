//! Connections: two ordered streams that take their time, and break.

use std::collections::VecDeque;

use claudemesh_core::wire::{Body, Frame};

use super::World;
use crate::sim::broker::ConnId;
use crate::sim::peer::Process;

/// Towards a peer.
#[derive(Debug)]
pub(crate) enum Down {
    Opened,
    Frame(Vec<u8>),
    Closed,
}

/// Towards the broker.
#[derive(Debug)]
pub(crate) enum Up {
    Open,
    Frame(Vec<u8>),
    Closed,
}

/// A connection, as long as one side knows of it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: usize,
    pub(crate) conn: Option<ConnId>,
    pub(crate) up: VecDeque<(u64, Up)>,
    pub(crate) down: VecDeque<(u64, Down)>,
    /// Cut: nothing gets through any more.
    cut: bool,
    /// Nothing arrives earlier.
    pub(crate) not_before: u64,
}

impl World {
    pub(super) fn next_frame(&self) -> Option<u64> {
        let times = |c: &Connection| [c.up.front().map(|(at, _)| *at), c.down.front().map(|(at, _)| *at)];
        self.connections.values().flat_map(times).flatten().min()
    }

    pub(super) fn due_connection(&self) -> Option<u64> {
        let due = |c: &Connection| {
            c.up.front().is_some_and(|(at, _)| *at <= self.now) || c.down.front().is_some_and(|(at, _)| *at <= self.now)
        };
        self.connections.iter().find(|(_, c)| due(c)).map(|(id, _)| *id)
    }

    /// The peer opens a connection.
    pub(super) fn connect(&mut self, who: usize) {
        if let Some(id) = self.peers[who].connection {
            self.hang_up(who, id);
        }
        self.next_connection += 1;
        let id = self.next_connection;
        let connection =
            Connection { peer: who, conn: None, up: VecDeque::new(), down: VecDeque::new(), cut: false, not_before: 0 };
        self.connections.insert(id, connection);
        self.peers[who].connection = Some(id);
        self.send_up(id, Up::Open);
    }

    /// The peer closes its connection; what it sent before still arrives.
    pub(super) fn hang_up(&mut self, who: usize, id: u64) {
        self.send_up(id, Up::Closed);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.down.clear();
        }
        if self.peers[who].connection == Some(id) {
            self.peers[who].connection = None;
        }
    }

    /// The connection breaks; each side notices at its time, if it does.
    pub(super) fn drop_connection(&mut self, id: u64, peer_at: Option<u64>, broker_at: Option<u64>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.cut = true;
        connection.up.clear();
        connection.down.clear();
        connection.up.extend(broker_at.map(|at| (at, Up::Closed)));
        connection.down.extend(peer_at.map(|at| (at, Down::Closed)));
    }

    /// The peer is gone without a word: what it sent before still arrives.
    pub(super) fn silence_peer(&mut self, id: u64, broker_at: Option<u64>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.cut = true;
        connection.down.clear();
        let last = connection.up.back().map_or(0, |(at, _)| *at);
        connection.up.extend(broker_at.map(|at| (at.max(last), Up::Closed)));
    }

    /// The broker is gone without a word: what it sent before still arrives.
    pub(super) fn silence_broker(&mut self, id: u64, peer_at: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.cut = true;
        connection.up.clear();
        let last = connection.down.back().map_or(0, |(at, _)| *at);
        connection.down.push_back((peer_at.max(last), Down::Closed));
    }

    fn arrival(&mut self, after: Option<u64>, not_before: u64) -> u64 {
        let travel = self.now + self.dice.range(1, 30);
        travel.max(not_before).max(after.unwrap_or(0))
    }

    pub(super) fn send_up(&mut self, id: u64, up: Up) {
        let Some(connection) = self.connections.get(&id).filter(|c| !c.cut) else { return };
        let at = self.arrival(connection.up.back().map(|(at, _)| *at), connection.not_before);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.up.push_back((at, up));
        }
    }

    pub(super) fn send_down(&mut self, id: u64, down: Down) {
        let Some(connection) = self.connections.get(&id).filter(|c| !c.cut) else { return };
        let at = self.arrival(connection.down.back().map(|(at, _)| *at), connection.not_before);
        let faulty = self.now < self.plan.quiet;
        let (overtakes, twice) = (faulty && self.dice.one_in(6), faulty && self.dice.one_in(24));
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let kind = |down: &Down| match down {
            Down::Frame(bytes) => Frame::decode(bytes).ok().map(|frame| {
                let bound = matches!(frame.body, Body::Challenge(_) | Body::WelcomeFrame(_) | Body::Close(_));
                (frame.request == 0, bound)
            }),
            _ => None,
        };
        let this = if overtakes || twice { kind(&down) } else { None };
        if let (true, Some((true, false)), Down::Frame(bytes)) = (twice, this, &down) {
            // A broker may push anything again.
            connection.down.push_back((at, Down::Frame(bytes.clone())));
        }
        connection.down.push_back((at, down));
        // Answers and pushes are made apart from one another at a broker, so either may come first.
        if let (true, Some((push, false)), Some((_, before))) =
            (overtakes, this, connection.down.len().checked_sub(2).and_then(|at| connection.down.get(at)))
            && let Some((other, false)) = kind(before)
            && push != other
        {
            let last = connection.down.len() - 1;
            let (a, b) = (connection.down[last - 1].0, connection.down[last].0);
            connection.down.swap(last - 1, last);
            (connection.down[last - 1].0, connection.down[last].0) = (a, b);
        }
    }

    pub(super) fn send_frame(&mut self, who: usize, frame: Frame) {
        self.log(|| format!("peer {who} -> {} {}", frame.body.name(), frame.request));
        if let Some(id) = self.peers[who].connection {
            let frame = self.garbled(who, frame);
            self.send_up(id, Up::Frame(frame.encode()));
        }
    }

    /// Hands over what has arrived at one end of a connection.
    pub(super) fn move_frames(&mut self, id: u64) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.up.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, up)) = connection.up.pop_front() else { return };
            return self.arrive_up(id, up);
        }
        // A peer reads what is there, a random part of it at a time.
        let peer = connection.peer;
        let waiting = connection.down.iter().take_while(|(at, _)| *at <= now).count();
        let take = self.dice.range(1, waiting.max(1) as u64) as usize;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let arrived: Vec<Down> = connection.down.drain(..take).map(|(_, down)| down).collect();
        let ends = arrived.iter().any(|down| matches!(down, Down::Closed));
        if ends {
            connection.cut = true;
            connection.down.clear();
        }
        if self.peers[peer].connection != Some(id) {
            return;
        }
        if ends {
            self.peers[peer].connection = None;
        }
        self.arrive_down(peer, arrived);
        if ends && self.connections.get(&id).is_some_and(|c| c.up.is_empty()) {
            self.connections.remove(&id);
        }
    }

    fn arrive_up(&mut self, id: u64, up: Up) {
        let clock = self.clock();
        let conn = self.connections.get(&id).and_then(|connection| connection.conn);
        match up {
            Up::Open if self.broker_up => {
                let conn = self.broker.open(clock);
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.conn = Some(conn);
                }
                self.send_down(id, Down::Opened);
                self.commit_soon();
            }
            Up::Open => self.send_down(id, Down::Closed),
            Up::Frame(bytes) => {
                if let Some(conn) = conn.filter(|_| self.broker_up) {
                    if let Ok(frame) = Frame::decode(&bytes) {
                        let peer = self.connections.get(&id).map_or(9, |c| c.peer);
                        self.log(|| format!("broker <- {peer}: {} {}", frame.body.name(), frame.request));
                        if matches!(frame.body, Body::ReceiptPut(_) | Body::NoticesDone(_)) {
                            self.broker_took_unsynced();
                        }
                    }
                    self.broker.receive(conn, &bytes, clock);
                    self.commit_soon();
                }
            }
            Up::Closed => {
                if let Some(conn) = conn.filter(|_| self.broker_up) {
                    self.broker.close(conn, clock);
                    self.commit_soon();
                }
                let gone = self.connections.get(&id).is_some_and(|c| c.down.is_empty());
                if gone && !self.peers.iter().any(|peer| peer.connection == Some(id)) {
                    self.connections.remove(&id);
                }
            }
        }
    }

    fn arrive_down(&mut self, who: usize, arrived: Vec<Down>) {
        match self.peers[who].process {
            Process::Down | Process::ShutOut => {}
            Process::Joining(_) => self.join_batch(who, arrived),
            Process::Member(_) => self.frames_batch(who, arrived),
        }
    }
}
