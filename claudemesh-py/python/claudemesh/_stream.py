"""Streams: what comes, one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from . import _claudemesh as _native

T = TypeVar("T")


class Feed(Generic[T]):
    """Items as they come. Iterate over it: the first step opens it, or `open()` before that.

    It ends when its mesh is closed, or with an exception. `close()` stops it, and so does the end of a `with` block.
    Whoever is interrupted while it waits for the next item has taken none.
    """

    __slots__ = ("_call", "_items", "_make", "_stream")

    def __init__(self, call: Callable[[], _native.Call[_native.Stream]], make: Callable[[Any], T]) -> None:
        self._call: Callable[[], _native.Call[_native.Stream]] | None = call
        self._make = make
        self._items: deque[Any] = deque()
        self._stream: _native.Stream | None = None

    async def open(self) -> Self:
        """Opens the stream: what happens from now on is in it."""
        if self._call is None:
            raise RuntimeError("the stream is over; make a new one")
        if self._stream is None:
            self._stream = await self._call()
        return self

    # async only
    def __await__(self) -> Generator[Any, Any, Self]:
        return self.open().__await__()

    # end
    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stops the stream."""
        self._call = self._stream = None
        self._items.clear()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if not self._items:
            if self._call is None:
                raise StopAsyncIteration
            await self.open()
            items = await self._stream.take() if self._stream else None
            if items is None:
                self._call = self._stream = None
                raise StopAsyncIteration
            self._items.extend(items)
        item = self._items.popleft()
        if isinstance(item, BaseException):
            self._call = self._stream = None
            raise item
        return self._make(item)
