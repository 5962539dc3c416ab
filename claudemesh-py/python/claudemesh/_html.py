"""How objects look in a notebook. Texts are other people's: everything is escaped."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")

# What is shown of objects that stand in a table, by class; of others, all there is.
COLUMNS = {
    "Peer": ("name", "role", "kind", "online", "status", "summary", "last_seen"),
    "Topic": ("name", "purpose", "private", "joined", "role", "unread", "mentions", "last_post_at"),
    "Message": ("from_", "body", "sent_at", "priority", "read"),
    "Received": ("from_", "body", "sent_at", "priority", "read"),
    "Post": ("at", "from_", "body", "sent_at", "reply_to"),
}
LONGEST = 2000


class Record:
    """What all data types have in common."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{name}</th><td>{cell(value)}</td></tr>" for name, value in fields(self))
        return f"<table><caption>{type(self).__name__}</caption>{rows}</table>"


class Records(list[T]):
    """A list that a notebook shows as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        if not self:
            return "<i>none</i>"
        name = type(self[0]).__name__
        columns = COLUMNS.get(name) or tuple(name for name, _ in fields(self[0]))
        head = "".join(f"<th>{column.rstrip('_')}</th>" for column in columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{cell(getattr(item, column, ''))}</td>" for column in columns) + "</tr>"
            for item in self
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def fields(item: object) -> list[tuple[str, object]]:
    names: tuple[str, ...] = getattr(item, "__match_args__", ())
    return [(name, getattr(item, name)) for name in names]


def cell(value: object) -> str:
    """A value as escaped text: a member by name, a list by its items."""
    from html import escape

    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(cell(item) for item in value)
    if isinstance(value, Record):
        value = getattr(value, "name", None) or getattr(value, "id", None) or repr(value)
    text = str(value)
    if len(text) > LONGEST:
        text = text[:LONGEST] + "…"
    return escape(text).replace("\n", "<br>")
