"""The one encoding of docs/protocol.md section 1, read strictly, and the forms that structures take in it."""

MAX_DEPTH = 16


class Malformed(Exception):
    """The bytes are not the expected form."""


def need(condition):
    if not condition:
        raise Malformed


def decode(data):
    """The item that fills `data`."""
    item, end = _item(data, 0, 0)
    need(end == len(data))
    return item


def _head(data, at):
    need(at < len(data))
    major, info = data[at] >> 5, data[at] & 0x1F
    if info < 24 or major == 7:
        return major, info, at + 1
    need(info <= 27)
    size = 1 << (info - 24)
    need(at + 1 + size <= len(data))
    value = int.from_bytes(data[at + 1 : at + 1 + size], "big")
    need(value >= (24, 1 << 8, 1 << 16, 1 << 32)[info - 24])
    return major, value, at + 1 + size


def _item(data, at, depth):
    major, value, at = _head(data, at)
    if major == 0:
        return value, at
    if major in (2, 3):
        need(at + value <= len(data))
        content = bytes(data[at : at + value])
        return (content if major == 2 else _text(content)), at + value
    if major == 7:
        need(value in (20, 21))
        return value == 21, at
    need(major in (4, 5) and depth < MAX_DEPTH)
    if major == 4:
        items = []
        for _ in range(value):
            item, at = _item(data, at, depth + 1)
            items.append(item)
        return items, at
    fields = {}
    for _ in range(value):
        kind, key, at = _head(data, at)
        need(kind == 0 and key < 1 << 63 and key > next(reversed(fields), -1))
        fields[key], at = _item(data, at, depth + 1)
    return fields, at


def _text(content):
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed from None


# Forms: functions that take a decoded item and give it back, or raise. Booleans are no numbers.


def number(low=0, high=(1 << 64) - 1):
    def form(item):
        need(type(item) is int and low <= item <= high)
        return item

    return form


def string(low=0, high=1 << 32):
    def form(item):
        need(type(item) is bytes and low <= len(item) <= high)
        return item

    return form


def text(high=1 << 32):
    def form(item):
        need(type(item) is str and len(item.encode()) <= high)
        return item

    return form


def fixed(*parts):
    def form(item):
        need(type(item) is list and len(item) == len(parts))
        return tuple(part(value) for part, value in zip(parts, item))

    return form


def many(part, low=0, high=1 << 32):
    def form(item):
        need(type(item) is list and low <= len(item) <= high)
        return [part(value) for value in item]

    return form


def struct(required, optional=()):
    """A map: `required` and `optional` give the form of each key. Absent optional keys read as None."""
    optional = dict(optional)

    def form(item):
        need(type(item) is dict and all(key in item for key in required))
        read = {key: part(item[key]) for key, part in required.items()}
        return read | {key: part(item[key]) if key in item else None for key, part in optional.items()}

    return form


def read(data, form):
    """`data` as one item of `form`."""
    return form(decode(data))


uint = number()
uint32 = number(0, 0xFFFFFFFF)
hash32 = string(32, 32)
signature = string(64, 64)
id16 = string(16, 16)
wrap80 = string(80, 80)
head = fixed(uint, hash32)
signed = fixed(string(), signature)
