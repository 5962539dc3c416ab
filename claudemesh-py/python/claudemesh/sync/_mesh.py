# Made by make_sync.py; changes belong into _mesh.py of the package above.
"""The handle of one mesh, and the ways to one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from .. import _claudemesh as _native
from .. import api
from .._record import Records
from ._message import Events, Received, SentMessage, event, received
from ._shared import Groups, Notifications, SharedMemory, SharedState, Tasks
from ._topic import Topic
from .._types import (
    ActivityWord,
    Addresses,
    Backend,
    HistoryWord,
    Home,
    PriorityWord,
    RoleWord,
    Span,
)


class Mesh:
    """A mesh, opened. Handles made of it speak for the same device, and end with it."""

    __slots__ = ("__weakref__", "_handle", "reply")

    reply: api.UpReply | None
    """What `up` answered, with what is shown once, such as the recovery key; None when the mesh was opened otherwise."""

    def __init__(self, handle: _native.Mesh, reply: api.UpReply | None = None) -> None:
        self._handle = handle
        self.reply = reply

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._handle.is_closed():
            return "<Mesh, closed>"
        return f"<Mesh {self.label!r}>"

    @property
    def id(self) -> str:
        """Mesh id."""
        return self._handle.id()

    @property
    def label(self) -> str:
        """Label, as it was when the mesh was opened."""
        return self._handle.label()

    @property
    def session(self) -> str | None:
        """The session this handle speaks for; None is `main`."""
        return self._handle.session()

    @property
    def is_embedded(self) -> bool:
        """Whether this process carries the client itself, instead of using the home's daemon."""
        return self._handle.is_embedded()

    @property
    def is_closed(self) -> bool:
        """Whether the mesh was closed."""
        return self._handle.is_closed()

    def with_session(self, session: str) -> Mesh:
        """The same mesh for another session of this device."""
        return Mesh(self._handle.with_session(session))

    def other(self, mesh: str) -> Mesh:
        """Another mesh of the same home, by label, id or id prefix.

        Raises NotFoundError or AmbiguousError.
        """
        return Mesh(self._handle.other(mesh).wait())

    def close(self) -> None:
        """Ends this program's part: an embedded client flushes, disconnects and gives its home back; a daemon goes on.

        All handles made of this mesh are closed with it, and streams end. A second time nothing is left to do.
        """
        self._handle.close().wait()

    def shutdown(self) -> None:
        """Stops the service behind this handle: the embedded client, or the daemon with all that use it."""
        self._handle.shutdown().wait()

    def send(
        self,
        to: Addresses,
        text: str,
        *,
        priority: PriorityWord | None = None,
        id: str | None = None,
        reply_to: str | None = None,
        ttl: Span | None = None,
        session: str | None = None,
    ) -> SentMessage:
        """Sends a text to one or more addresses; returns when it is durable on this disk.

        An address is a name, `name/session`, a key prefix, `@group`, `#topic`, or `*` for everyone. Under an `id` of the
        caller's own, a UUID, the same message is sent once. It waits for its recipient for `ttl`, seven days unless told
        otherwise. Cancelled before it returns, it may have been sent or not: an `id` makes it safe to repeat.

        Raises UsageError for a bad address or text, NotFoundError or AmbiguousError for a recipient, ConflictError when
        the id was used for another message, RefusedError at a limit.
        """
        return SentMessage(self._handle.send(to, text, priority, id, reply_to, ttl, session).wait())

    def message_status(self, id: str) -> api.MessageStatus:
        """State of a sent message for each recipient. Raises NotFoundError for an id that was not sent from here."""
        return self._handle.message_status(id).wait()

    def inbox(
        self, *, unread: bool = False, limit: int | None = None, wait: Span | None = None
    ) -> Records[Received]:
        """Reads the inbox, oldest first, the newest 50 unless told otherwise. Nothing is marked read by it.

        When there is nothing, it waits so long for a message.
        """
        return Records(received(message) for message in self._handle.inbox(unread, limit, wait).wait())

    def mark_read(self, messages: Iterable[Received]) -> None:
        """Marks messages read and tells their senders."""
        self._handle.mark_read([message._handle for message in messages]).wait()

    def events(self) -> Events:
        """Events from now on. Acknowledging them moves nothing; see `events_from`."""
        return Events(lambda: self._handle.events(None), event)

    def events_from(self, consumer: str) -> Events:
        """Events of a durable consumer: after the last one that a program acknowledged under this name.

        A new name starts now.
        """
        return Events(lambda: self._handle.events(consumer), event)

    def topic(self, topic: str) -> Topic:
        """A topic by name, with or without `#`, or by 8 or more digits of its id."""
        return Topic(self._handle.topic(topic))

    def topics(self) -> Records[api.Topic]:
        """Topics that this member can know of, with what the handle's session has not read of them."""
        return Records(self._handle.topics().wait())

    def create_topic(
        self,
        topic: str,
        *,
        purpose: str | None = None,
        private: bool = False,
        members: Sequence[str] = (),
        retention: Span | None = None,
        history: HistoryWord | None = None,
    ) -> api.Topic:
        """Makes a topic, of which the caller becomes the first lead.

        A private one is only for the members named. Posts are kept for ever, or for `retention`; newcomers read
        everything, or what `history` says.

        Raises UsageError for a bad name or too long a purpose, ConflictError when the name is taken, NotFoundError or
        AmbiguousError for a member, UnreachableError without the broker.
        """
        if isinstance(members, str):
            raise TypeError("expected a list of members, not str")
        return self._handle.create_topic(topic, purpose, private, [*members], retention, history).wait()

    def compact(self) -> int:
        """Drops what nobody needs any more of what belongs to the whole mesh, as `Topic.compact` does for a topic."""
        return self._handle.compact().wait()

    def search(self, text: str, *, topic: str | None = None, limit: int | None = None) -> Records[api.Hit]:
        """Searches posts, of all topics that are followed or of one, best first, 20 unless told otherwise.

        Words, `"a phrase"`, `prefix*`, `AND`, `OR` and `NOT` are understood. Raises UsageError for a text that cannot be
        searched for, NotFoundError for the topic.
        """
        return Records(self._handle.search(text, topic, limit).wait())

    def groups(self) -> Groups:
        """Groups of members."""
        return Groups(self._handle.groups())

    def state(self) -> SharedState:
        """State of the whole mesh."""
        return SharedState(self._handle.state())

    def memory(self) -> SharedMemory:
        """Memory of the whole mesh."""
        return SharedMemory(self._handle.memory())

    def tasks(self) -> Tasks:
        """Tasks of the whole mesh."""
        return Tasks(self._handle.tasks())

    def notifications(self) -> Notifications:
        """What asks for this member's attention."""
        return Notifications(self._handle.notifications())

    def apply_template(self, template: str) -> api.TemplateApplied:
        """Gives the mesh what a template of this name has: groups, topics, state, and hints on how it is used.

        What is there stays; what an earlier call left undone is done. Raises UsageError for an unknown template,
        ConflictError when the mesh has another one, RefusedError for who is no admin.
        """
        return self._handle.apply_template(template).wait()

    def whoami(self) -> api.WhoAmI:
        """Who this home is in the mesh."""
        return self._handle.whoami().wait()

    def peers(self) -> Records[api.Peer]:
        """Peers with their presence."""
        return Records(self._handle.peers().wait())

    def set_status(self, status: ActivityWord) -> api.WhoAmI:
        """Sets the status that peers see."""
        return self._handle.set_status(status).wait()

    def set_summary(self, summary: str) -> api.WhoAmI:
        """Sets the summary that peers see; an empty text clears it. Raises UsageError when it is too long."""
        return self._handle.set_summary(summary).wait()

    def members(self) -> Records[api.MemberInfo]:
        """Members, with removed ones."""
        return Records(self._handle.members().wait())

    def remove_member(self, member: str) -> api.MemberChange:
        """Removes a member, named by name or key prefix.

        Raises RefusedError without the rank for it, NotFoundError or AmbiguousError for the name.
        """
        return self._handle.remove_member(member).wait()

    def set_role(self, member: str, role: RoleWord) -> api.MemberChange:
        """Changes a member's role; raises as `remove_member`."""
        return self._handle.set_role(member, role).wait()

    def invite(
        self,
        *,
        uses: int | None = None,
        expires_in: Span | None = None,
        role: RoleWord | None = None,
        name_hint: str | None = None,
    ) -> api.Invite:
        """Creates an invite: for one use within seven days, unless told otherwise.

        Raises RefusedError when this member may not invite.
        """
        return self._handle.invite(uses, expires_in, role, name_hint).wait()

    def invites(self) -> Records[api.Invite]:
        """Invites of the mesh."""
        return Records(self._handle.invites().wait())

    def revoke_invite(self, id: str) -> api.Invite:
        """Closes an invite, named by id or a unique prefix of at least 8 digits."""
        return self._handle.revoke_invite(id).wait()

    def meshes(self) -> Records[api.MeshInfo]:
        """Meshes of the home."""
        return Records(self._handle.meshes().wait())

    def status(self) -> api.Status:
        """State of the home and of all its meshes."""
        return self._handle.status().wait()

    def rename(self, label: str) -> api.MeshInfo:
        """Renames the mesh: for everyone when this member is admin or owner, else in this home only.

        Raises ConflictError when the label is taken here.
        """
        return self._handle.rename(label).wait()

    def leave(self) -> api.MeshInfo:
        """Leaves the mesh. Raises RefusedError for the last owner."""
        return self._handle.leave().wait()

    def delete(self) -> api.MeshInfo:
        """Closes the mesh for everyone; owners only. Raises RefusedError for others."""
        return self._handle.delete().wait()


def open_mesh(
    home: Home | None = None,
    *,
    mesh: str | None = None,
    session: str | None = None,
    backend: Backend | None = None,
) -> Mesh:
    """Opens a mesh of a home; see `open`."""
    return Mesh(_native.open((home, mesh, session, backend)).wait())


def join_mesh(
    link: str,
    home: Home | None = None,
    *,
    name: str | None = None,
    label: str | None = None,
    insecure_ws: bool = False,
    session: str | None = None,
    backend: Backend | None = None,
) -> Mesh:
    """Joins a mesh by link, and opens it; see `join`."""
    return Mesh(_native.join((home, None, session, backend), link, name, label, insecure_ws).wait())


def join_mesh_in_memory(
    link: str, *, name: str | None = None, session: str | None = None, insecure_ws: bool = False
) -> Mesh:
    """Joins a mesh by link as a member that lives in this process only; see `join_in_memory`."""
    return Mesh(_native.join_in_memory(link, name, session, insecure_ws).wait())


def mesh_up(
    home: Home | None = None,
    *,
    name: str | None = None,
    mesh: str | None = None,
    broker: str | None = None,
    listen: str | None = None,
    advertise: str | None = None,
    insecure_ws: bool = False,
    session: str | None = None,
    backend: Backend | None = None,
) -> Mesh:
    """Creates or resumes a mesh, and opens it; see `up`."""
    place = (home, mesh, session, backend)
    handle, reply = _native.up(place, name, broker, listen, advertise, insecure_ws).wait()
    return Mesh(handle, reply)
