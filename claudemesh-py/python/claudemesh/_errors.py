"""Exceptions: one class for each kind of error that the SDK has."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import ClassVar


class Error(Exception):
    """An error of claudemesh. Its text says what happened, to what; decide on the class or the code, never on the text."""

    code: ClassVar[str] = ""
    """The stable code, as in JSON errors of the command line."""
    exit_code: ClassVar[int] = 1
    """The exit code of the command line for it."""
    is_retryable: ClassVar[bool] = False
    """Whether the same call may succeed later without a change."""

    hint: str | None
    """What to do next."""

    def __init__(self, message: str, hint: str | None = None, causes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.hint = hint
        for cause in causes:
            self.add_note(f"because: {cause}")
        if hint:
            self.add_note(f"hint: {hint}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.hint)


class InternalError(Error):
    """A bug of claudemesh."""

    code = "internal"
    exit_code = 1


class UsageError(Error, ValueError):
    """The request itself is wrong: a bad name, an empty or over-long text, a closed mesh."""

    code = "usage"
    exit_code = 2


class NotFoundError(Error, LookupError):
    """No member, message, mesh or invite of that name."""

    code = "not_found"
    exit_code = 3


class AmbiguousError(Error, LookupError):
    """More than one thing has that name or key prefix."""

    code = "ambiguous"
    exit_code = 3


class RefusedError(Error):
    """The other side, the roster or a limit refuses it."""

    code = "refused"
    exit_code = 4


class ExpiredError(Error):
    """An invite or message is past its time, used up or closed."""

    code = "expired"
    exit_code = 4


class TimeoutError(Error, builtins.TimeoutError):
    """The state waited for was not reached in time; the message stays."""

    code = "timeout"
    exit_code = 5
    is_retryable = True


class UnreachableError(Error, ConnectionError):
    """The daemon or the broker cannot be reached."""

    code = "unreachable"
    exit_code = 6
    is_retryable = True


class ConflictError(Error):
    """The same id or name with other content, or somebody was faster."""

    code = "conflict"
    exit_code = 7


class LockedError(Error):
    """Another program holds this home, or this one holds it already."""

    code = "locked"
    exit_code = 8
    is_retryable = True


class CorruptError(Error):
    """The home's store is damaged; it was left as it is."""

    code = "corrupt"
    exit_code = 8


class UnwritableError(Error):
    """The home cannot be written: permissions, a read-only or a full disk."""

    code = "unwritable"
    exit_code = 8


BY_CODE: dict[str, type[Error]] = {kind.code: kind for kind in Error.__subclasses__()}
