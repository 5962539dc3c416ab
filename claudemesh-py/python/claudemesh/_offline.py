"""What needs no mesh."""

from __future__ import annotations

from . import _claudemesh as _native
from ._record import Record


class Link(Record):
    """What an invite link says. The secret that lets its holder join stays in the link's text."""

    mesh: str
    """Mesh id."""
    broker_key: str
    """The broker's key, which pins the first connection."""
    address: str
    """The broker's address."""


def read_link(link: str) -> Link:
    """Reads an invite link, without using it. Raises UsageError for a text that is none, or a damaged one."""
    return Link(*_native.read_link(link))


def safety_number(mesh: str, a: str, b: str) -> str:
    """The safety number of two members of a mesh, by their ids, in either order.

    Two people compare it by eye or voice to know that no one stands between them. Raises UsageError for what is no id.
    """
    return _native.safety_number(mesh, a, b)


def templates() -> dict[str, str]:
    """The templates for `Mesh.apply_template`: name, and in one line what each is for."""
    return _native.templates()
