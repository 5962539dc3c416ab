# Made by make_sync.py; changes belong into _shared.py of the package above.
"""What members share: state, memory, tasks, groups; and what asks for their attention."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from .. import _claudemesh as _native
from .. import api
from .._record import Records
from ._stream import Feed
from .._types import Span, TaskStateWord


class SharedState:
    """The state that the members of a mesh, or of a topic, share: keys with JSON values.

    Changes have an order that is the same for everyone, and each has a version. A change under the condition that a
    version still holds is made by one of all who try.
    """

    __slots__ = ("_handle",)

    def __init__(self, handle: _native.SharedState) -> None:
        self._handle = handle

    def get(self, key: str) -> api.Json:
        """The value of a key. Raises NotFoundError for a key without a value, UsageError for a bad key."""
        return self._handle.get(key).wait()

    def entry(self, key: str) -> api.StateEntry:
        """A key with its value, its version and who changed it last; raises as `get`."""
        return self._handle.entry(key).wait()

    def set(
        self, key: str, value: api.Json, *, ttl: Span | None = None, request_id: str | None = None
    ) -> api.StateEntry:
        """Sets a key, whatever it was; after `ttl` it is gone.

        Who did not hear what became of a change asks again under the same `request_id`, a UUID, within seven days: it is
        answered, and made only if it was not made before.

        Raises UsageError for a bad key or a value over 64 KiB, RefusedError for an observer, TimeoutError or
        UnreachableError when it is not known whether it was made.
        """
        return self._handle.set(key, value, ttl, request_id).wait()

    def compare_and_set(
        self,
        key: str,
        version: str | None,
        value: api.Json,
        *,
        ttl: Span | None = None,
        request_id: str | None = None,
    ) -> api.StateEntry:
        """Sets a key if it still has this version; None when it must never have been set.

        Raises ConflictError when somebody was faster; otherwise as `set`.
        """
        return self._handle.compare_and_set(key, version, value, ttl, request_id).wait()

    def delete(self, key: str, *, request_id: str | None = None) -> api.StateEntry:
        """Deletes a key, whatever it was. Raises NotFoundError for a key without a value."""
        return self._handle.delete(key, request_id).wait()

    def compare_and_delete(self, key: str, version: str, *, request_id: str | None = None) -> api.StateEntry:
        """Deletes a key if it still has this version. Raises ConflictError when it has not."""
        return self._handle.compare_and_delete(key, version, request_id).wait()

    def list(self, prefix: str | None = None) -> Records[api.StateEntry]:
        """Keys that begin with a prefix, or all, with their values."""
        return Records(self._handle.list(prefix).wait())

    def watch(self, prefix: str | None = None, *, after: str | None = None, with_current: bool = False) -> Changes:
        """Changes of keys that begin with a prefix, or of all, as they come.

        They start now, after a version, or with the keys there are.
        """
        return Changes(lambda: self._handle.watch(prefix, after, with_current), _same)


class Changes(Feed[api.StateEntry]):
    """Changes of the state as they come, deleted keys too. It survives a restart of the daemon without loss."""

    __slots__ = ()


def _same(entry: api.StateEntry) -> api.StateEntry:
    return entry


class SharedMemory:
    """What the members of a mesh, or of a topic, remember together: texts with tags, found again by their words."""

    __slots__ = ("_handle",)

    def __init__(self, handle: _native.SharedMemory) -> None:
        self._handle = handle

    def remember(self, text: str, *, tags: Sequence[str] = (), id: str | None = None) -> api.Memory:
        """Remembers a text. Under an `id` of the caller's own, a UUID, the same text is remembered once.

        Raises UsageError for an empty or over-long text or tag, NotFoundError for the topic, ConflictError when the id
        was used for another memory, RefusedError for an observer.
        """
        return self._handle.remember(text, _several(tags), id).wait()

    def recall(
        self, text: str | None = None, *, tags: Sequence[str] = (), limit: int | None = None
    ) -> Records[api.Memory]:
        """Finds memories with these words and all of these tags, best first; without words the latest, 20 unless told.

        The mesh's memory looks into every topic, too. Raises UsageError for a text that cannot be searched for.
        """
        return Records(self._handle.recall(text, _several(tags), limit).wait())

    def forget(self, id: str) -> api.Memory:
        """Forgets a memory, here and wherever the mesh is read; returns what it was.

        Raises NotFoundError for an id that is not there, RefusedError for another member's memory without the rank for
        it, UnreachableError without the broker.
        """
        return self._handle.forget(id).wait()


class Tasks:
    """The tasks of a mesh, or of a topic: made by one, claimed by one, completed under that claim."""

    __slots__ = ("_handle",)

    def __init__(self, handle: _native.Tasks) -> None:
        self._handle = handle

    def create(
        self,
        title: str,
        *,
        body: str | None = None,
        depends_on: Sequence[str] = (),
        assignee: str | None = None,
        id: str | None = None,
    ) -> api.Task:
        """Makes a task: with ids of tasks to be done before, and the only member that may claim it.

        Raises UsageError for an empty or over-long text, NotFoundError or AmbiguousError for the topic, the assignee or
        a task it depends on, ConflictError when the id was used for another task, RefusedError for an observer.
        """
        return self._handle.create(title, body, _several(depends_on), assignee, id).wait()

    def list(
        self, *, state: TaskStateWord | None = None, member: str | None = None, limit: int | None = None
    ) -> Records[api.Task]:
        """Tasks, oldest first, 100 unless told otherwise. The mesh's tasks are those of every topic, too.

        With `member` only what this member may claim or has claimed.
        """
        return Records(self._handle.list(state, member, limit).wait())

    def show(self, id: str) -> api.Task:
        """One task, by its id or a unique prefix of 8 or more digits."""
        return self._handle.show(id).wait()

    def claim(self, id: str, *, request_id: str | None = None) -> ClaimedTask:
        """Claims a task for this handle's session: of all who try, one gets it.

        Raises ConflictError when it is claimed, done or waits for other tasks, RefusedError when it is for another
        member, NotFoundError or AmbiguousError for the id; TimeoutError or UnreachableError when it is not known whether
        it was claimed: ask again under the same `request_id`, as in `SharedState.set`.
        """
        return _claimed(self._handle.claim(id, request_id).wait())

    def release(self, id: str) -> api.Task:
        """Gives a claimed task back, whichever claim it is; see `ClaimedTask.release` for a certain one."""
        return self._handle.release(id).wait()

    def complete(self, id: str, result: str = "") -> api.Task:
        """Completes a claimed task, whichever claim it is; see `ClaimedTask.complete` for a certain one.

        Raises ConflictError when this member has not claimed it, UsageError for a result over 64 KiB.
        """
        return self._handle.complete(id, result).wait()


class ClaimedTask(api.Task):
    """A task that this member has claimed. What is done with it here is refused once the claim is no longer this one."""

    __slots__ = ("_handle",)

    # No field of the task; a slot all the same.
    _handle: ClassVar[_native.ClaimedTask]

    def complete(self, result: str = "") -> api.Task:
        """Completes the task. Raises ConflictError when the claim is over."""
        return self._handle.complete(result).wait()

    def release(self) -> api.Task:
        """Gives the task back. Raises ConflictError when the claim is over."""
        return self._handle.release().wait()


def _claimed(handle: _native.ClaimedTask) -> ClaimedTask:
    task: ClaimedTask = handle.task(ClaimedTask)
    object.__setattr__(task, "_handle", handle)
    return task


class Groups:
    """The groups of a mesh. A message to `@backend` goes to the members of `backend` and of every group below it."""

    __slots__ = ("_handle",)

    def __init__(self, handle: _native.Groups) -> None:
        self._handle = handle

    def join(self, group: str, *, role: str | None = None, member: str | None = None) -> api.Group:
        """Joins a group, or puts another member into it, which is for admins.

        A group exists as long as somebody is in it. Raises UsageError for a bad group or role, RefusedError for another
        member without the rank for it, NotFoundError or AmbiguousError for the member, UnreachableError without the
        broker.
        """
        return self._handle.join(group, role, member).wait()

    def leave(self, group: str, *, member: str | None = None) -> api.Group:
        """Leaves a group, or takes another member out of it. Raises NotFoundError when the member is not in it."""
        return self._handle.leave(group, member).wait()

    def list(self, group: str | None = None) -> Records[api.Group]:
        """A group and those below it, or all groups, with their members."""
        return Records(self._handle.list(group).wait())


class Notifications:
    """Mentions, replies, tasks and topics that ask for this member's attention."""

    __slots__ = ("_handle",)

    def __init__(self, handle: _native.Notifications) -> None:
        self._handle = handle

    def list(self, *, all: bool = False, limit: int | None = None) -> Records[api.Notification]:
        """What was not marked read, latest first, 50 unless told otherwise; with `all` the others too."""
        return Records(self._handle.list(all, limit).wait())

    def mark_read(self, ids: Iterable[str]) -> int:
        """Marks some read; returns how many were not before. Raises NotFoundError for an id that is none."""
        return self._handle.mark_read(_several(ids)).wait()

    def mark_all_read(self) -> int:
        """Marks all of them read; returns how many were not before."""
        return self._handle.mark_all_read().wait()


def _several(texts: Iterable[str]) -> list[str]:
    if isinstance(texts, str):
        raise TypeError("expected a list of texts, not str")
    return [*texts]

