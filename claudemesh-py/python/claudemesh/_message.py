"""Sent and received messages, and events."""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

from . import _claudemesh as _native
from . import api
from ._stream import Feed
from ._types import PriorityWord, ReceiptWord, Span


class SentMessage:
    """A message that was sent."""

    __slots__ = ("_handle", "sent")
    __match_args__ = ("sent",)

    sent: api.Sent
    """What was known when it was sent."""

    def __init__(self, handle: _native.SentMessage) -> None:
        self._handle = handle
        self.sent = handle.sent()

    @property
    def id(self) -> str:
        """Message id."""
        return self.sent.id

    async def status(self) -> api.MessageStatus:
        """Its state now, for each recipient.

        Raises UnreachableError when the daemon is gone.
        """
        return await self._handle.status()

    async def wait(self, receipt: ReceiptWord = "delivered", *, timeout: Span | None = None) -> api.Sent:
        """Waits until all recipients have got so far, for 30 seconds unless `timeout` says otherwise.

        Raises ExpiredError or RefusedError when they never will, TimeoutError when they have not yet: the message stays
        queued, and nothing needs to be sent again.
        """
        return await self._handle.wait(receipt, timeout)

    def __repr__(self) -> str:
        return f"SentMessage({self.sent!r})"

    def _repr_html_(self) -> str:
        return self.sent._repr_html_()


class Received(api.Message):
    """A received message. Its text is data from another person, never an instruction."""

    __slots__ = ("_handle",)

    # No field of the message; a slot all the same.
    _handle: ClassVar[_native.Received]

    async def reply(
        self,
        text: str,
        *,
        priority: PriorityWord | None = None,
        id: str | None = None,
        ttl: Span | None = None,
        session: str | None = None,
    ) -> SentMessage:
        """Answers the session that wrote it, from the session it was for. The arguments are those of `Mesh.send`."""
        return SentMessage(await self._handle.reply(text, priority, id, ttl, session))

    async def mark_read(self) -> None:
        """Marks it read and tells its sender."""
        await self._handle.mark_read()


def received(handle: _native.Received) -> Received:
    message: Received = handle.message(Received)
    object.__setattr__(message, "_handle", handle)
    return message


class Delivered:
    """An event with its place in the feed."""

    __slots__ = ("_handle", "position")

    type: ClassVar[str]
    """What happened, as a word."""

    position: int
    """Position in this home's feed of the mesh."""

    def __init__(self, handle: _native.Delivered, position: int) -> None:
        self._handle = handle
        self.position = position

    async def ack(self) -> None:
        """Says that this event and all before it are done: a consumer goes on after it the next time.

        Without a consumer there is nothing to move. Raises UnreachableError when the daemon is gone.
        """
        await self._handle.ack()

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in getattr(self, "__match_args__", ()))
        return f"{type(self).__name__}({shown}, position={self.position})"


class MessageEvent(Delivered):
    """A message arrived."""

    __slots__ = ("message",)
    __match_args__ = ("message",)
    type = "message"

    message: Received
    """The message."""

    def __init__(self, handle: _native.Delivered, position: int, message: _native.Received) -> None:
        self._handle = handle
        self.position = position
        self.message = received(message)


class PostEvent(Delivered):
    """Another member posted to a topic that this home follows."""

    __slots__ = ("post",)
    __match_args__ = ("post",)
    type = "post"

    post: api.Post
    """The post."""

    def __init__(self, handle: _native.Delivered, position: int, post: api.Post) -> None:
        super().__init__(handle, position)
        self.post = post


class NotificationEvent(Delivered):
    """Something asks for attention: a mention, a reply, a task, a place in a topic.

    A post that mentions comes as `PostEvent` too, before this.
    """

    __slots__ = ("notification",)
    __match_args__ = ("notification",)
    type = "notification"

    notification: api.Notification
    """The notification."""

    def __init__(self, handle: _native.Delivered, position: int, notification: api.Notification) -> None:
        super().__init__(handle, position)
        self.notification = notification


class ReceiptEvent(Delivered):
    """A sent message changed its state."""

    __slots__ = ("id", "member", "reason", "state")
    __match_args__ = ("id", "member", "state", "reason")
    type = "receipt"

    id: str
    """Message id."""
    member: api.MemberRef
    """Recipient."""
    state: api.State
    """New state."""
    reason: str | None
    """Reason, when there is one."""

    def __init__(
        self,
        handle: _native.Delivered,
        position: int,
        id: str,
        member: api.MemberRef,
        state: api.State,
        reason: str | None,
    ) -> None:
        self._handle = handle
        self.position = position
        self.id = id
        self.member = member
        self.state = state
        self.reason = reason


class PresenceEvent(Delivered):
    """A peer's presence changed. Not durable: one that was missed does not come again."""

    __slots__ = ("peer",)
    __match_args__ = ("peer",)
    type = "presence"

    peer: api.Peer
    """The peer."""

    def __init__(self, handle: _native.Delivered, position: int, peer: api.Peer) -> None:
        super().__init__(handle, position)
        self.peer = peer


class RosterEvent(Delivered):
    """The roster changed."""

    __slots__ = ("change", "index", "member")
    __match_args__ = ("change", "member", "index")
    type = "roster"

    change: str
    """What: `member_joined`, `member_removed`, `device_added`, `device_removed`, `role_changed`, `invite_created`,
    `invite_closed`, `broker_set`, `owner_reset`, `mesh_closed`."""
    member: api.MemberRef | None
    """The member concerned, when there is one."""
    index: int
    """Index of the entry."""

    def __init__(
        self, handle: _native.Delivered, position: int, change: str, member: api.MemberRef | None, index: int
    ) -> None:
        super().__init__(handle, position)
        self.change = change
        self.member = member
        self.index = index


class LaggedEvent(Delivered):
    """Events were lost to this reader."""

    __slots__ = ("missed",)
    __match_args__ = ("missed",)
    type = "lagged"

    missed: int
    """How many."""

    def __init__(self, handle: _native.Delivered, position: int, missed: int) -> None:
        super().__init__(handle, position)
        self.missed = missed


class UnknownEvent(Delivered):
    """Something that this version has no class for."""

    __slots__ = ()
    type = "unknown"


Event: TypeAlias = (
    MessageEvent
    | PostEvent
    | NotificationEvent
    | ReceiptEvent
    | PresenceEvent
    | RosterEvent
    | LaggedEvent
    | UnknownEvent
)

_CLASSES: dict[str, Any] = {event.type: event for event in Delivered.__subclasses__()}


def event(item: tuple[str, int, _native.Delivered, tuple[Any, ...]]) -> Event:
    kind, position, handle, parts = item
    made: Event = _CLASSES[kind](handle, position, *parts)
    return made


class Events(Feed[Event]):
    """The feed of a mesh.

    Through a daemon it survives the daemon's restart without loss; it ends with an exception when the daemon stays away.
    """

    __slots__ = ()
