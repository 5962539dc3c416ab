"""A broker in this process."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from . import _claudemesh as _native
from ._types import Home


class Broker:
    """A broker in this process: in memory, or with its database and key in a folder.

    It stores and forwards what members have sealed, and can read none of it. It listens on a free port of this machine
    unless told otherwise. Use it in a `with` block, or `start()` and `close()` it.
    """

    __slots__ = ("__weakref__", "_directory", "_handle", "_listen")

    def __init__(self, directory: Home | None = None, *, listen: str = "127.0.0.1:0") -> None:
        self._directory = directory
        self._listen = listen
        self._handle: _native.Broker | None = None

    async def start(self) -> Self:
        """Starts it.

        Raises ConflictError when something else listens there, RefusedError when nothing can, LockedError when another
        broker uses the folder, CorruptError or UnwritableError when it cannot be used.
        """
        if self._handle is None:
            self._handle = await _native.start_broker(self._directory, self._listen)
        return self

    async def close(self) -> None:
        """Stops it: connections are ended, and what was begun is finished. A second time nothing is left to do."""
        if self._handle is not None:
            await self._handle.close()
            self._handle = None

    @property
    def url(self) -> str:
        """Its address for members on this machine."""
        if self._handle is None:
            raise RuntimeError("the broker does not run; start() it first")
        return self._handle.url

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Broker at {self._handle.url}>" if self._handle else "<Broker, not running>"
