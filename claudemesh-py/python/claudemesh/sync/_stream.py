# Made by make_sync.py; changes belong into _stream.py of the package above.
"""Streams: what comes, one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from .. import _claudemesh as _native

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

    def open(self) -> Self:
        """Opens the stream: what happens from now on is in it."""
        if self._call is None:
            raise RuntimeError("the stream is over; make a new one")
        if self._stream is None:
            self._stream = self._call().wait()
        return self

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops the stream."""
        self._call = self._stream = None
        self._items.clear()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if not self._items:
            if self._call is None:
                raise StopIteration
            self.open()
            items = self._stream.take().wait() if self._stream else None
            if items is None:
                self._call = self._stream = None
                raise StopIteration
            self._items.extend(items)
        item = self._items.popleft()
        if isinstance(item, BaseException):
            self._call = self._stream = None
            raise item
        return self._make(item)
