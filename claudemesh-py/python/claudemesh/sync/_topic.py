# Made by make_sync.py; changes belong into _topic.py of the package above.
"""Topics: conversations with a history."""

from __future__ import annotations

from .. import _claudemesh as _native
from .. import api
from .._record import Records
from ._shared import SharedMemory, SharedState, Tasks
from ._stream import Feed
from .._types import Span, TopicRoleWord


class Topic:
    """A topic of a mesh: a conversation with a history, and state, memory and tasks of its own.

    It names the topic and knows nothing of it: whether it exists is found out by the first call.
    """

    __slots__ = ("_handle",)

    def __init__(self, handle: _native.Topic) -> None:
        self._handle = handle

    @property
    def name(self) -> str:
        """The name, as it was given."""
        return self._handle.name()

    def __repr__(self) -> str:
        return f"<Topic {self.name!r}>"

    def post(
        self, text: str, *, id: str | None = None, reply_to: str | None = None, session: str | None = None
    ) -> api.Posted:
        """Writes to the topic; `@name` mentions a member.

        It returns when the post is durable on this disk, or a moment later when it is in the topic. Under an `id` of the
        caller's own, a UUID, the same post is written once. `reply_to` names the post this answers.

        Raises UsageError for an empty or over-long text, NotFoundError for the topic or the post answered, RefusedError
        for an observer, ConflictError when the id was used for another post.
        """
        return self._handle.post(text, id, reply_to, session).wait()

    def history(
        self,
        *,
        after: str | None = None,
        before: str | None = None,
        thread: str | None = None,
        limit: int | None = None,
    ) -> api.Posts:
        """Reads posts, the latest 50 unless told otherwise, 1000 at most. Nothing is marked read by it.

        `after` and `before` are places (`Post.at`); `thread` is the id of a thread's first post.

        Raises NotFoundError for the topic or the thread, UsageError for a text that is no place.
        """
        return self._handle.history(after, before, thread, limit).wait()

    def tail(self, *, after: str | None = None, last: int | None = None) -> Tail:
        """Posts as they come: from now on, after a place, or beginning with the `last` there are.

        A program that keeps the place of the last post it handled misses none.
        """
        return Tail(lambda: self._handle.tail(after, last), _same)

    def search(self, text: str, *, limit: int | None = None) -> Records[api.Hit]:
        """Searches the posts of this topic, as `Mesh.search`."""
        return Records(self._handle.search(text, limit).wait())

    def join(self) -> api.Topic:
        """Follows the topic from now on.

        Raises NotFoundError for a topic that does not exist or is not for this member, UnreachableError without the
        broker.
        """
        return self._handle.join().wait()

    def leave(self) -> api.Topic:
        """Leaves the topic; what was read stays readable. Raises RefusedError for its last lead."""
        return self._handle.leave().wait()

    def members(self) -> Records[api.TopicMember]:
        """Who is in the topic, leads first."""
        return Records(self._handle.members().wait())

    def set_member(self, member: str, role: TopicRoleWord) -> Records[api.TopicMember]:
        """Adds a member, named by name or key prefix, or changes its role.

        Raises RefusedError without the rank for it, NotFoundError or AmbiguousError for the topic or the member.
        """
        return Records(self._handle.set_member(member, role).wait())

    def remove_member(self, member: str) -> Records[api.TopicMember]:
        """Removes a member; raises as `set_member`."""
        return Records(self._handle.remove_member(member).wait())

    def set_retention(self, retention: Span | None) -> api.Topic:
        """Says for how long the topic keeps posts; None for ever. Older ones are erased wherever the topic is read.

        Raises RefusedError for who does not lead it, UsageError for less than a second.
        """
        return self._handle.set_retention(retention).wait()

    def compact(self) -> int:
        """Drops what nobody needs any more of the topic, at the broker and here; how many entries. For admins.

        Raises RefusedError for others, ConflictError when others write there all the time.
        """
        return self._handle.compact().wait()

    def resolve(self, thread: str) -> api.Posts:
        """Marks a thread resolved, named by its first post; returns the thread."""
        return self._handle.resolve(thread).wait()

    def reopen(self, thread: str) -> api.Posts:
        """Marks a thread open again."""
        return self._handle.reopen(thread).wait()

    def mark_read(self, through: str | None = None) -> api.Topic:
        """Marks the posts up to a place (`Post.at`) read for this handle's session, or all there are."""
        return self._handle.mark_read(through).wait()

    def state(self) -> SharedState:
        """State of this topic."""
        return SharedState(self._handle.state())

    def memory(self) -> SharedMemory:
        """Memory of this topic."""
        return SharedMemory(self._handle.memory())

    def tasks(self) -> Tasks:
        """Tasks of this topic."""
        return Tasks(self._handle.tasks())


class Tail(Feed[api.Post]):
    """Posts of a topic as they come. It survives a restart of the daemon without loss."""

    __slots__ = ()


def _same(post: api.Post) -> api.Post:
    return post
