//! Who gets in at the reference broker, and as what.

use std::collections::{BTreeMap, BTreeSet};

use claudemesh_core::Millis;
use claudemesh_core::codec::List;
use claudemesh_core::wire::{self, CheckedHello, Closing, ErrorCode, Frame, HelloMode, WelcomeBody};

use super::{ConnId, Mode, ModelBroker, Open};

impl ModelBroker {
    pub(super) fn hello(&mut self, conn: ConnId, request: u64, hello: &wire::Hello, now: Millis) {
        let Some(connection) = self.connections.get(&conn) else { return };
        let refuse = |broker: &mut Self, code: ErrorCode| {
            let error = wire::Error { code, detail: String::new(), retry_after_ms: None };
            broker.send(conn, Frame::new(request, error));
            broker.end(conn, Some(Closing::Protocol), now);
        };
        let Ok(hello) = wire::check_hello(&connection.challenge, hello, b"") else {
            return refuse(self, ErrorCode::Unauthenticated);
        };
        let mode = match self.admit(&hello, now) {
            Ok(mode) => mode,
            Err(code) => return refuse(self, code),
        };
        if mode == Mode::Device {
            let older: Vec<_> = self.devices().filter(|(_, o)| o.device == hello.device).map(|(id, _)| id).collect();
            for older in older {
                self.end(older, Some(Closing::Replaced), now);
            }
        }
        let disk = &self.live;
        let head = disk.roster.as_ref().map(|roster| roster.head());
        let is_device = mode == Mode::Device;
        let body = WelcomeBody {
            version: wire::VERSION,
            capabilities: List::new(),
            limits: self.limits,
            store_id: disk.store_id,
            commits: disk.commits,
            now,
            head,
            record: disk.records.get(&hello.device).filter(|_| is_device).map(|kept| kept.bytes.clone()),
            last_sent: disk.proofs.get(&hello.device).filter(|_| is_device).cloned(),
            connection: conn,
        };
        let welcome = wire::answer_hello(&self.key, &hello, &body);
        let everybody = disk.roster.iter().flat_map(|roster| roster.live_devices()).map(|device| device.id).collect();
        let open = Open {
            device: hello.device,
            key: hello.key,
            mode,
            roster: head.map_or(0, |head| head.index + 1),
            logs: BTreeMap::new(),
            unacknowledged: BTreeMap::new(),
            mail_after: 0,
            notices_after: 0,
            held: BTreeMap::new(),
            presence: if is_device { everybody } else { BTreeSet::new() },
        };
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.open = Some(open);
        }
        self.send(conn, Frame::new(request, welcome));
        if is_device {
            self.tell_presence(hello.device);
        }
    }

    fn admit(&self, hello: &CheckedHello, now: Millis) -> Result<Mode, ErrorCode> {
        let Some(roster) = &self.live.roster else {
            return if hello.mode == HelloMode::Create { Ok(Mode::Create) } else { Err(ErrorCode::UnknownMesh) };
        };
        if roster.mesh() != hello.mesh {
            return Err(ErrorCode::UnknownMesh);
        }
        match hello.mode {
            HelloMode::Create => Ok(Mode::Create),
            HelloMode::Device => match roster.device(&hello.device) {
                None => Err(ErrorCode::NotAMember),
                Some(device) if !device.is_live() => Err(ErrorCode::Removed),
                Some(_) => Ok(Mode::Device),
            },
            HelloMode::Join(id) => {
                let invite = roster.invite(&id).ok_or(ErrorCode::Forbidden)?;
                hello.check_invite(&invite.key).map_err(|_| ErrorCode::Unauthenticated)?;
                if !invite.is_open() || invite.expires.millis() <= now {
                    return Err(ErrorCode::InviteExpired);
                }
                Ok(Mode::Join(id))
            }
        }
    }
}
