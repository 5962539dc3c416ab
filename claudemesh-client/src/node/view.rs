//! What a session knows, as the API's types.

use claudemesh_core::presence::{Activity, SessionInfo, Status};
use claudemesh_core::roster::{Applied, Payload, Role};
use claudemesh_core::safety::safety_number;
use claudemesh_core::session::{MessageState, Session};
use claudemesh_core::{MemberId, codec};

use crate::api;
use crate::store::{Extra, InboxItem, MeshRow, MessageRow};

/// A time as RFC 3339 in UTC.
pub(super) fn time(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map(|at| at.to_string()).unwrap_or_default()
}

/// What members are called: by their own records, else by what the invite said.
pub(super) struct Names<'a> {
    session: &'a Session,
    row: &'a MeshRow,
    hints: Vec<(MemberId, String)>,
}

impl<'a> Names<'a> {
    pub(super) fn new(session: &'a Session, row: &'a MeshRow) -> Self {
        Self { session, row, hints: codec::decode(&row.hints).unwrap_or_default() }
    }

    pub(super) fn get(&self, member: &MemberId) -> Option<&str> {
        let recorded = self.session.directory().name_of(member);
        let own = || (*member == self.session.member()).then_some(self.row.name.as_str());
        let hint = || self.hints.iter().find(|(id, _)| id == member).map(|(_, name)| name.as_str());
        recorded.or_else(own).or_else(hint)
    }
}

pub(super) fn name_of(session: &Session, row: &MeshRow, member: &MemberId) -> String {
    Names::new(session, row).get(member).unwrap_or_default().to_owned()
}

pub(super) fn member_ref(session: &Session, row: &MeshRow, member: &MemberId) -> api::MemberRef {
    api::MemberRef { id: member.to_string(), name: name_of(session, row, member) }
}

pub(super) fn mesh_ref(row: &MeshRow, session: &Session) -> api::MeshRef {
    api::MeshRef { id: session.mesh().to_string(), label: row.label.clone() }
}

pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Admin => "admin",
        Role::Owner => "owner",
    }
}

pub(super) fn kind(kind: claudemesh_core::roster::Kind) -> &'static str {
    use claudemesh_core::roster::Kind;
    match kind {
        Kind::Human => "human",
        Kind::Agent => "agent",
        Kind::Service => "service",
    }
}

pub(super) fn own_role(session: &Session) -> &'static str {
    session.roster().member(&session.member()).map_or("member", |member| role(member.role))
}

pub(super) fn activity(activity: Activity) -> api::Activity {
    match activity {
        Activity::Working => api::Activity::Working,
        Activity::Blocked => api::Activity::Blocked,
        Activity::DoNotDisturb => api::Activity::Dnd,
        _ => api::Activity::Idle,
    }
}

pub(super) fn core_activity(activity: api::Activity) -> Activity {
    match activity {
        api::Activity::Idle => Activity::Idle,
        api::Activity::Working => Activity::Working,
        api::Activity::Blocked => Activity::Blocked,
        api::Activity::Dnd => Activity::DoNotDisturb,
    }
}

fn session_info(info: &SessionInfo) -> api::Session {
    api::Session {
        id: info.id.clone(),
        name: info.name.clone(),
        cwd: info.cwd.clone(),
        status: activity(info.activity),
        summary: info.summary.clone(),
    }
}

/// What a device is doing: what was set for it by hand, else what its first session does.
fn overall_activity(status: &Status) -> Activity {
    match status.sessions.first() {
        Some(session) if status.activity == Activity::Idle => session.activity,
        _ => status.activity,
    }
}

/// The session that a message to a member goes to: the first that its device shows.
pub(super) fn lead(session: &Session, member: &MemberId) -> Option<String> {
    let device = session.acting_device(member)?;
    let status = session.peer(&device)?.status.as_ref()?;
    status.sessions.first().map(|session| session.id.clone())
}

/// A peer as roster, directory and presence show it.
pub(super) fn peer(session: &Session, row: &MeshRow, id: &MemberId) -> Option<api::Peer> {
    let member = session.roster().member(id)?;
    let own = *id == session.member();
    let devices: Vec<_> = session.roster().devices_of(id).filter(|device| device.is_live()).collect();
    let present =
        devices.iter().filter_map(|device| session.peer(&device.id)).max_by_key(|peer| (peer.online, peer.last_seen));
    let status = if own { Some(session.own_status()) } else { present.and_then(|peer| peer.status.as_ref()) };
    let online = if own { session.is_ready() } else { present.is_some_and(|peer| peer.online) };
    let last_seen = present.filter(|_| !online).map(|peer| peer.last_seen.0).filter(|at| *at > 0);
    Some(api::Peer {
        member: id.to_string(),
        name: name_of(session, row, id),
        role: role(member.role).into(),
        kind: kind(member.kind).into(),
        online,
        status: status.map_or(api::Activity::Idle, |status| activity(overall_activity(status))),
        summary: status.and_then(|status| {
            let of_sessions = || status.sessions.iter().find_map(|session| session.summary.clone());
            status.summary.clone().or_else(of_sessions)
        }),
        devices: devices.iter().map(|device| device.id.to_string()).collect(),
        sessions: status.map(|status| status.sessions.iter().map(session_info).collect()).unwrap_or_default(),
        last_seen: last_seen.map(time),
        own,
        live: member.is_live(),
    })
}

pub(super) fn member_info(session: &Session, row: &MeshRow, id: &MemberId) -> Option<api::MemberInfo> {
    let member = session.roster().member(id)?;
    let own = session.member();
    let devices = session.roster().devices_of(id).filter(|device| device.is_live());
    Some(api::MemberInfo {
        id: id.to_string(),
        name: name_of(session, row, id),
        role: role(member.role).into(),
        kind: kind(member.kind).into(),
        live: member.is_live(),
        devices: devices.map(|device| device.id.to_string()).collect(),
        safety_number: (*id != own).then(|| safety_number(&session.mesh(), &own, id).to_string()),
    })
}

pub(super) fn priority(code: u64) -> api::Priority {
    match code {
        0 => api::Priority::Now,
        2 => api::Priority::Low,
        _ => api::Priority::Next,
    }
}

/// State of one recipient; the reason also where it has come and waits there.
pub(super) fn recipient(row: &MessageRow) -> (api::State, Option<String>) {
    let (state, why) = state(row.state);
    let wait = || row.wait.clone().filter(|_| state == api::State::Delivered);
    (state, why.or_else(wait))
}

/// State and reason of one recipient.
pub(super) fn state(state: MessageState) -> (api::State, Option<String>) {
    let (_, why) = state.code();
    let state = match state {
        MessageState::Queued => api::State::Queued,
        MessageState::Held(_) => api::State::Held,
        MessageState::Accepted => api::State::Accepted,
        MessageState::Delivered => api::State::Delivered,
        MessageState::Injected => api::State::Injected,
        MessageState::Read => api::State::Read,
        MessageState::Expired => api::State::Expired,
        MessageState::Refused(_) => api::State::Refused,
    };
    (state, why.map(str::to_owned))
}

/// The least state of all recipients; a failure wins.
pub(super) fn overall(rows: &[MessageRow]) -> (api::State, Option<String>) {
    let states = rows.iter().map(recipient);
    states
        .reduce(|a, b| match (a.0.is_failure(), b.0.is_failure()) {
            (true, _) => a,
            (_, true) => b,
            _ if a.0 <= b.0 => a,
            _ => b,
        })
        .unwrap_or((api::State::Queued, None))
}

pub(super) fn message(session: &Session, row: &MeshRow, item: InboxItem) -> api::Message {
    let member = MemberId::from_bytes(item.member);
    let to = item.to.iter().map(|id| member_ref(session, row, &MemberId::from_bytes(*id)));
    api::Message {
        id: claudemesh_core::MessageId::from_bytes(item.id).to_string(),
        from: api::From {
            member: member.to_string(),
            name: name_of(session, row, &member),
            session: item.from_session.unwrap_or_else(|| crate::DEFAULT_SESSION.into()),
        },
        to: to.collect(),
        body: item.body,
        sent_at: time(item.sent_at),
        received_at: time(item.received_at),
        priority: priority(item.priority),
        reply_to: item.reply_to.map(|id| claudemesh_core::MessageId::from_bytes(id).to_string()),
        session: item.session,
        read: item.read,
        copy: item.copy,
    }
}

/// A roster entry as an event of the feed.
pub(super) fn roster_event(applied: &Applied) -> Extra {
    let member = |id: &MemberId| Some(*id.as_bytes());
    let entry = &applied.entry;
    let (change, member) = match entry.payload() {
        Payload::InviteCreated(_) => ("invite_created", None),
        Payload::InviteClosed(_) => ("invite_closed", None),
        Payload::MemberJoined(_) => ("member_joined", entry.new_member().as_ref().and_then(member)),
        Payload::DeviceAdded(added) => ("device_added", member(&added.member)),
        Payload::DeviceRemoved(_) => ("device_removed", None),
        Payload::RoleChanged(changed) => ("role_changed", member(&changed.member)),
        Payload::MemberRemoved(removed) => ("member_removed", member(&removed.member)),
        Payload::BrokersSet(_) => ("broker_set", None),
        Payload::OwnerReset(_) => ("owner_reset", entry.new_member().as_ref().and_then(member)),
        Payload::MeshClosed(_) => ("mesh_closed", None),
        Payload::Genesis(_) => ("mesh_created", None),
        _ => ("changed", None),
    };
    Extra::RosterEvent { change, member, index: entry.index() }
}
