"""What all data types have in common: fields that are set once, and how they look in a notebook.

Texts are other people's: everything is escaped there.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar, dataclass_transform

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


@dataclass_transform(frozen_default=True)
class Fields(type):
    """Makes a slot of each annotation. As a dataclass, without what that costs at the import."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Fields:
        if "__slots__" not in namespace:
            fields = tuple(namespace.get("__annotations__", ()))
            namespace["__slots__"] = namespace["__match_args__"] = fields
        return super().__new__(cls, name, bases, namespace)


class Record(metaclass=Fields):
    """Fields that are set once. Two are equal when they are of one class and their fields are."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *values: Any, **named: Any) -> None:
        names = self.__match_args__
        if named:
            values += tuple(named.pop(name) for name in names[len(values) :] if name in named)
        if named or len(values) != len(names):
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(names)}")
        for name, value in zip(names, values, strict=True):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__match_args__)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in zip(self.__match_args__, self._values(), strict=True))
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._values()

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON has them, those of inner objects too."""
        names = {"from_": "from", "own": "self"}
        pairs = zip(self.__match_args__, self._values(), strict=True)
        return {names.get(name, name): plain(value) for name, value in pairs}

    def _repr_html_(self) -> str:
        rows = zip(self.__match_args__, self._values(), strict=True)
        body = "".join(f"<tr><th>{name.rstrip('_')}</th><td>{cell(value)}</td></tr>" for name, value in rows)
        return f"<table><caption>{type(self).__name__}</caption>{body}</table>"


class Records(list[T]):
    """A list that a notebook shows as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        if not self:
            return "<i>none</i>"
        names: tuple[str, ...] = getattr(self[0], "__match_args__", ())
        columns = COLUMNS.get(type(self[0]).__name__, names)
        head = "".join(f"<th>{column.rstrip('_')}</th>" for column in columns)
        rows = ("".join(f"<td>{cell(getattr(item, column, ''))}</td>" for column in columns) for item in self)
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.as_dict()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


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
