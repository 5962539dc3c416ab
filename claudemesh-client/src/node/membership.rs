//! Invites, members, presence, and the meshes of the home.

use std::time::Duration;

use claudemesh_core::invite::{Link, LinkSecret, WelcomeBundle};
use claudemesh_core::presence::Status;
use claudemesh_core::roster::{Invite, NewInvite, Role};
use claudemesh_core::session::{Append, Command, Session};
use claudemesh_core::{InviteId, MemberId, PublicKey, Seconds};

use super::driver::{now, rng};
use super::messages::resolve_member;
use super::{Active, Node, enter, view};
use crate::api;
use crate::error::{Error, ErrorKind};
use crate::store::{Extra, MeshColumn, MeshRow, StoredInvite};

const MAX_EXPIRY: u64 = 365 * 24 * 3600;
/// An invite is offered again by `up` only while it holds this long.
const REOFFER: u64 = 24 * 3600;

fn invite_info(session: &Session, row: &MeshRow, invite: &Invite, links: &[StoredInvite]) -> api::Invite {
    let expired = now().seconds() >= invite.expires;
    let state = match (invite.is_closed(), invite.uses_left(), expired) {
        (true, ..) => "closed",
        (_, 0, _) => "used",
        (_, _, true) => "expired",
        _ => "open",
    };
    let link = links.iter().find(|link| link.id == *invite.id.as_bytes()).map(|link| link.link.clone());
    api::Invite {
        id: invite.id.to_string(),
        link: link.filter(|_| state == "open"),
        expires_at: view::time(invite.expires.millis().0),
        uses: u32::try_from(invite.uses).unwrap_or(u32::MAX),
        used: u32::try_from(invite.used).unwrap_or(u32::MAX),
        state: state.into(),
        role: view::role(invite.role).into(),
        by: view::member_ref(session, row, &invite.creator),
        warning: None,
    }
}

/// What is sealed into an invite: names the joiner may address at once.
fn welcome(session: &Session, row: &MeshRow, hint: Option<String>) -> WelcomeBundle {
    let own = session.member();
    let others = session.roster().members().filter(|member| member.is_live() && member.id != own);
    let ids = std::iter::once(own).chain(others.map(|member| member.id));
    let names = ids.map(|id| (id, view::name_of(session, row, &id))).filter(|(_, name)| !name.is_empty());
    let brokers = session.roster().brokers().iter().flat_map(|broker| broker.addresses.iter().cloned());
    WelcomeBundle {
        label: session.directory().label().unwrap_or(&row.label).to_owned(),
        inviter: own,
        names: names.collect(),
        brokers: brokers.collect(),
        hint,
    }
}

fn is_loopback(url: &str) -> bool {
    super::transport::check_address(url, false).is_ok() && url.starts_with("ws://")
}

impl Node {
    pub(super) async fn create_invite(&self, mesh: &Active, request: api::InviteRequest) -> Result<api::Invite, Error> {
        if request.role != "member" {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("an invite gives the role member, not {:?}", request.role),
            )
            .with_hint("promote later with `claudemesh member role NAME admin`"));
        }
        if !(1..=1000).contains(&request.uses) {
            return Err(Error::new(ErrorKind::Usage, "an invite has 1 to 1000 uses").with_hint("for example --uses 5"));
        }
        if request.expires_in == 0 || request.expires_in > MAX_EXPIRY {
            return Err(Error::new(ErrorKind::Usage, "an invite expires after 1 second to 365 days")
                .with_hint("for example --expires 7d"));
        }
        let hint = request.name_hint.as_deref().map(|name| enter::check_name("name", name)).transpose()?;
        let secret = LinkSecret::generate(&mut rng());
        let key = secret.invite_key().public();
        let (bundle, broker) = mesh
            .look(move |session, row| {
                let first = session.roster().brokers().first();
                let address = first.and_then(|broker| broker.addresses.first().cloned());
                let key = first.map_or(row.broker_key, |broker| *broker.key.as_bytes());
                (welcome(session, row, hint), (address.unwrap_or_else(|| row.broker_url.clone()), key))
            })
            .await?;
        let sealed = bundle.seal(&secret, &mut rng()).map_err(|error| {
            Error::new(ErrorKind::Usage, "the invite's welcome is too large")
                .with_hint("shorten the name hint")
                .with_source(error)
        })?;
        let (address, broker_key) = broker;
        let broker_key = PublicKey::from_bytes(&broker_key).map_err(|error| {
            Error::new(ErrorKind::Corrupt, "the broker key is damaged")
                .with_hint("restore the home from a copy, or join again by a fresh invite")
                .with_source(error)
        })?;
        let link = Link::new(mesh.id, broker_key, secret, &address)
            .map_err(|error| Error::new(ErrorKind::Usage, format!("the broker address fits no link: {error}")))?
            .to_url();
        let expires = Seconds(now().seconds().0 + request.expires_in);
        let invite = NewInvite::to_join(key, u64::from(request.uses), expires, sealed);
        let id = key.invite_id();
        let extra = Extra::Invite { id: *id.as_bytes(), link: link.clone() };
        self.append(mesh, Append::CreateInvite(invite), Some(extra)).await?;
        let mut info = self.invite_by_id(mesh, id).await?;
        info.link = Some(link);
        info.warning = is_loopback(&address).then(|| {
            format!("this link works on this machine only: the broker's address is {address} (see `claudemesh up --listen` and `--advertise`)")
        });
        Ok(info)
    }

    async fn invite_by_id(&self, mesh: &Active, id: InviteId) -> Result<api::Invite, Error> {
        let links = self.store.invite_links(mesh.store_row).await?;
        mesh.look(move |session, row| {
            session.roster().invite(&id).map(|invite| invite_info(session, row, invite, &links))
        })
        .await?
        .ok_or_else(|| Error::new(ErrorKind::Internal, "the invite is not in the roster"))
    }

    /// An open link of this home, made when there is none; none when this member may not invite.
    pub(super) async fn open_link(&self, mesh: &Active) -> Result<Option<String>, Error> {
        let links = self.store.invite_links(mesh.store_row).await?;
        let (open, may_invite) = mesh
            .look(move |session, row| {
                let later = now().seconds().plus(REOFFER);
                let invites = session.roster().invites().filter(|invite| invite.is_open() && invite.expires > later);
                let open = invites.filter_map(|invite| invite_info(session, row, invite, &links).link).next();
                (open, view::own_role(session) != "member")
            })
            .await?;
        match open {
            Some(link) => Ok(Some(link)),
            None if may_invite => Ok(self.create_invite(mesh, api::InviteRequest::default()).await?.link),
            None => Ok(None),
        }
    }

    pub(super) async fn list_invites(&self, mesh: &Active) -> Result<api::Invites, Error> {
        let links = self.store.invite_links(mesh.store_row).await?;
        mesh.look(move |session, row| {
            let mut invites: Vec<&Invite> = session.roster().invites().collect();
            invites.sort_by_key(|invite| invite.created_at);
            api::Invites {
                invites: invites.into_iter().map(|invite| invite_info(session, row, invite, &links)).collect(),
            }
        })
        .await
    }

    pub(super) async fn close_invite(&self, mesh: &Active, text: &str) -> Result<api::Invite, Error> {
        let text = text.to_owned();
        let id = mesh
            .look(move |session, _| {
                let fits: Vec<InviteId> = session
                    .roster()
                    .invites()
                    .map(|invite| invite.id)
                    .filter(|id| text.len() >= 8 && id.to_string().starts_with(&text))
                    .collect();
                match fits[..] {
                    [id] => Ok(id),
                    [] => Err(Error::new(ErrorKind::NotFound, format!("no invite {text:?}"))
                        .with_hint("use 8 or more digits of an id from `claudemesh invite list`")),
                    _ => Err(Error::new(ErrorKind::Ambiguous, format!("{text:?} fits several invites"))
                        .with_hint("use more digits")),
                }
            })
            .await??;
        self.append(mesh, Append::CloseInvite(id), None).await?;
        self.invite_by_id(mesh, id).await
    }

    async fn member_named(&self, mesh: &Active, text: &str) -> Result<MemberId, Error> {
        let text = text.to_owned();
        Ok(mesh.look(move |session, row| resolve_member(session, row, &text)).await??.0)
    }

    pub(super) async fn remove_member(&self, mesh: &Active, member: &str) -> Result<api::MemberChange, Error> {
        let member = self.member_named(mesh, member).await?;
        let index = self.append(mesh, Append::RemoveMember(member), None).await?;
        mesh.look(move |session, row| api::MemberChange {
            member: view::member_info(session, row, &member),
            closed_invites: session
                .roster()
                .invites()
                .filter(|invite| invite.closed_at == Some(index))
                .map(|invite| invite.id.to_string())
                .collect(),
        })
        .await
    }

    pub(super) async fn change_role(
        &self,
        mesh: &Active,
        member: &str,
        role: &str,
    ) -> Result<api::MemberChange, Error> {
        let role = match role {
            "member" => Role::Member,
            "admin" => Role::Admin,
            "owner" => Role::Owner,
            _ => {
                return Err(Error::new(ErrorKind::Usage, format!("there is no role {role:?}"))
                    .with_hint("the roles are member, admin and owner"));
            }
        };
        let member = self.member_named(mesh, member).await?;
        self.append(mesh, Append::ChangeRole(member, role), None).await?;
        mesh.look(move |session, row| api::MemberChange {
            member: view::member_info(session, row, &member),
            closed_invites: Vec::new(),
        })
        .await
    }

    pub(super) async fn set_own_presence(&self, mesh: &Active, request: api::PresenceRequest) -> Result<(), Error> {
        if request.summary.as_ref().is_some_and(|summary| summary.len() > 280) {
            return Err(Error::new(ErrorKind::Usage, "a summary has at most 280 bytes").with_hint("shorten it"));
        }
        if let Some(session) = &request.session
            && self.hosts.set(session, &request).await?
        {
            return Ok(());
        }
        let _showing = self.hosts.showing.lock().await;
        let own = mesh.look(|session, _| session.own_status().clone()).await?;
        let status = Status {
            activity: request.status.map_or(own.activity, view::core_activity),
            summary: match request.summary {
                Some(summary) => Some(summary).filter(|summary| !summary.is_empty()),
                None => own.summary,
            },
            sessions: own.sessions,
        };
        self.live(mesh).await?.command(Command::SetStatus(status)).await
    }

    pub(super) async fn who(&self, mesh: &Active) -> Result<api::WhoAmI, Error> {
        let position = self.store.last_position(mesh.store_row).await?;
        mesh.look(move |session, row| {
            let status = session.own_status();
            api::WhoAmI {
                mesh: view::mesh_ref(row, session),
                member: view::member_ref(session, row, &session.member()),
                role: view::own_role(session).into(),
                device: session.device().to_string(),
                status: view::activity(status.activity),
                summary: status.summary.clone(),
                broker: row.broker_url.clone(),
                connected: session.is_ready(),
                position,
            }
        })
        .await
    }

    pub(super) async fn mesh_info(&self, mesh: &Active) -> Result<api::MeshInfo, Error> {
        self.note_end(mesh).await?;
        let selected = mesh.is_active() && self.mesh(None).await.is_ok_and(|used| used.store_row == mesh.store_row);
        if mesh.handle.is_none() {
            let row = mesh.row();
            return Ok(api::MeshInfo {
                id: mesh.id.to_string(),
                label: row.label,
                member: api::MemberRef { id: String::new(), name: row.name },
                role: String::new(),
                members: 0,
                broker: row.broker_url,
                connected: false,
                selected: false,
                state: row.state,
            });
        }
        mesh.look(move |session, row| api::MeshInfo {
            id: session.mesh().to_string(),
            label: row.label.clone(),
            member: view::member_ref(session, row, &session.member()),
            role: view::own_role(session).into(),
            members: u32::try_from(session.roster().members().filter(|member| member.is_live()).count())
                .unwrap_or(u32::MAX),
            broker: row.broker_url.clone(),
            connected: session.is_ready(),
            selected,
            state: row.state.clone(),
        })
        .await
    }

    pub(super) async fn mesh_status(&self, mesh: &Active) -> Result<api::MeshStatus, Error> {
        let info = self.mesh_info(mesh).await?;
        let (queued, held, unread) = self.store.counts(mesh.store_row).await?;
        let Some(handle) = &mesh.handle else {
            return Ok(api::MeshStatus {
                mesh: info,
                queued,
                writing: 0,
                held,
                unread,
                roster_index: 0,
                roster_hash: String::new(),
                round_trip_ms: None,
                warnings: Vec::new(),
                last_error: None,
                hints: None,
                missing: Vec::new(),
            });
        };
        let last_error = handle.shared.last_error().filter(|_| !info.connected);
        let mut warnings: Vec<String> = handle.shared.warnings().into_iter().map(str::to_owned).collect();
        let (head, writing, faults, round_trip) = mesh
            .look(|session, _| {
                let faults: Vec<String> = session.faults().map(|fault| fault.as_str().to_owned()).collect();
                (session.roster().head(), session.writing(), faults, session.round_trip())
            })
            .await?;
        let hints = self.state_entry(mesh, super::rooms::template::HINTS).await.ok().flatten();
        let hints = hints.and_then(|entry| entry.value.as_str().map(str::to_owned));
        warnings.extend(faults);
        warnings.sort();
        warnings.dedup();
        Ok(api::MeshStatus {
            mesh: info,
            queued,
            writing: writing as u64,
            held,
            unread,
            roster_index: head.index,
            roster_hash: MemberId::from_bytes(head.hash.0).to_string(),
            round_trip_ms: round_trip.map(|millis| millis as f64),
            warnings,
            last_error,
            hints,
            missing: self.ask(mesh, crate::rooms::topic::missing).await?,
        })
    }

    pub(super) async fn rename(&self, mesh: &Active, label: &str) -> Result<api::MeshInfo, Error> {
        let label = enter::check_name("label", label)?;
        self.store.set_mesh_text(mesh.store_row, MeshColumn::Label, label.clone()).await?;
        mesh.edit(|row| label.clone_into(&mut row.label));
        if let Some(handle) = &mesh.handle
            && mesh.is_active()
            && mesh.look(|session, _| view::own_role(session) != "member").await?
        {
            handle.command(Command::SetLabel(label)).await?;
        }
        self.mesh_info(mesh).await
    }

    pub(super) async fn leave(&self, mesh: &Active) -> Result<api::MeshInfo, Error> {
        let (own, sole) = mesh
            .look(|session, _| {
                let sole = view::own_role(session) == "owner" && session.roster().owner_count() == 1;
                (session.member(), sole)
            })
            .await?;
        if sole {
            return Err(Error::new(ErrorKind::Refused, "you are the only owner: the mesh would have none left")
                .with_hint("make somebody owner with `claudemesh member role NAME owner`, or close it with `claudemesh mesh delete`"));
        }
        self.append(mesh, Append::RemoveMember(own), None).await?;
        self.ended(mesh, "left").await
    }

    pub(super) async fn delete(&self, mesh: &Active) -> Result<api::MeshInfo, Error> {
        self.append(mesh, Append::CloseMesh, None).await?;
        self.ended(mesh, "closed").await
    }

    async fn ended(&self, mesh: &Active, state: &str) -> Result<api::MeshInfo, Error> {
        self.set_state(mesh, state).await?;
        let mut info = self.mesh_info(mesh).await?;
        state.clone_into(&mut info.state);
        info.connected = false;
        // The entry is on the broker's disk; the connection that carried it may end now.
        if let Some(handle) = &mesh.handle {
            let _ = tokio::time::timeout(Duration::from_secs(1), handle.stop()).await;
        }
        self.retire(mesh).await?;
        Ok(info)
    }

    /// Keeps an ended mesh in the list, without its driver.
    async fn retire(&self, ended: &Active) -> Result<(), Error> {
        let row = ended.row();
        self.meshes.write().await.retain(|mesh| mesh.store_row != row.row);
        self.activate(row).await.map(drop)
    }
}
