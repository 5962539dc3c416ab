"""Types of arguments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from os import PathLike
from typing import Literal, TypeAlias

from .api import Activity, History, Priority, State, TaskState, TopicRole

Addresses: TypeAlias = str | Sequence[str]
"""Names, `name/session`, key prefixes, `@group`, `#topic`, or `*` for everyone."""
Span: TypeAlias = float | timedelta
"""Seconds, or a `timedelta`."""
Home: TypeAlias = str | PathLike[str]
"""A folder; `~/` is the user's own."""
Backend: TypeAlias = Literal["embedded"] | Literal["attach"]
"""`embedded` carries the client in this process; `attach` uses the home's daemon, or fails."""
PriorityWord: TypeAlias = Priority | Literal["now", "next", "low"]
ReceiptWord: TypeAlias = State | Literal["queued", "accepted", "delivered", "injected", "read"]
ActivityWord: TypeAlias = Activity | Literal["idle", "working", "blocked", "dnd"]
HistoryWord: TypeAlias = History | Literal["all", "joining", "none"]
TopicRoleWord: TypeAlias = TopicRole | Literal["observer", "member", "lead"]
TaskStateWord: TypeAlias = TaskState | Literal["blocked", "open", "claimed", "done"]
RoleWord: TypeAlias = Literal["owner"] | Literal["admin"] | Literal["member"]
