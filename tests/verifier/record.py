"""Room records of docs/protocol.md section 8: form and bounds of each kind, mentions, the log of #general."""

import json
import math
import unicodedata

from cbor import Malformed, fixed, hash32, id16, many, need, number, read, string, struct, text, uint
from crypto import H, L
from log import is_name

KIB = 1024


def flag(item):
    need(type(item) is bool)
    return item


def words(high, low=0):
    form = text(high)

    def bounded(item):
        need(len(form(item).encode()) >= low)
        return item

    return bounded


def that(form, check):
    def checked(item):
        need(check(form(item)))
        return item

    return checked


def is_path(path):
    parts = path.split("/")
    return len(parts) <= 8 and all(map(is_name, parts)) and parts[0] != "all"


SPACES = set("\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {chr(it) for it in range(0x2000, 0x200B)}


def is_key(key):
    fits = 1 <= len(key.encode()) <= 256 and key[0] not in SPACES and key[-1] not in SPACES
    return fits and not any(unicodedata.category(letter) == "Cc" for letter in key)


def is_json(data):
    def finite(digits):
        need(math.isfinite(float(digits)))

    def refuse(_):
        raise Malformed

    try:
        value = json.loads(data.decode(), parse_float=finite, parse_int=finite, parse_constant=refuse, object_pairs_hook=list)
    except (Malformed, ValueError, OverflowError, RecursionError):
        return False
    return is_readable(value, 64)


def is_readable(value, depth):
    """Whether no text holds half a surrogate pair and nothing lies too deep. Objects are lists of pairs."""
    if isinstance(value, str):
        return not any(0xD800 <= ord(letter) < 0xE000 for letter in value)
    if isinstance(value, tuple):
        return is_readable(value[0], depth) and is_readable(value[1], depth)
    if isinstance(value, list):
        return depth > 0 and all(is_readable(it, depth - 1) for it in value)
    return True


TOPIC = that(text(64), lambda name: is_name(name) and name != "general")
KEY = that(text(256), is_key)
VERSION = fixed(uint, uint)

FORMS = {
    4: struct({0: id16, 1: TOPIC}, {2: text(KIB)}),
    5: struct({0: that(text(), is_path), 1: hash32, 2: number(0, 1)}, {3: text(64)}),
    16: struct({0: id16, 1: words(64 * KIB, 1), 2: uint}, {3: id16, 4: text(256), 5: many(hash32, 1, 64)}),
    17: struct({0: id16, 1: flag}),
    18: struct({0: TOPIC, 1: number(0, 1)}, {2: text(KIB)}),
    19: struct({0: hash32, 1: number(0, 3)}),
    20: struct({0: uint}),
    32: struct({0: KEY, 1: that(string(0, 64 * KIB), is_json)}, {2: VERSION, 3: uint}),
    33: struct({0: KEY}, {1: VERSION}),
    48: struct({0: id16, 1: words(64 * KIB, 1), 2: uint}, {3: many(words(64, 1), 1, 32)}),
    49: struct({0: id16, 1: hash32}),
    64: struct({0: id16, 1: words(KIB, 1), 2: uint}, {3: text(64 * KIB), 4: many(id16, 1, 32), 5: hash32}),
    65: struct({0: id16}, {1: text(256)}),
    66: struct({0: id16, 1: uint}),
    67: struct({0: id16, 1: uint}, {2: text(64 * KIB)}),
}


def read_record(kind, data):
    need(kind in FORMS)
    return read(data, FORMS[kind])


def general_log(mesh):
    return H(L("general-log") + mesh)[:16]


def is_word(letter):
    return letter.isalnum() or letter == "_"


def mentions(said, names):
    """Members and whether everyone; `names` are pairs of a name and a member."""
    names = [it for it in names if it[0] != "all"] + [("all", None)]
    found, at = [], 0
    while (at := said.find("@", at)) >= 0:
        at += 1
        if at > 1 and (is_word(said[at - 2]) or said[at - 2] == "@"):
            continue
        fits = [name for name, _ in names if said.startswith(name, at) and not is_word((said + " ")[at + len(name)])]
        if fits:
            name = max(fits, key=lambda it: len(it.encode()))
            found += sorted((member for other, member in names if other == name), key=str)
            at += len(name)
    members = list(dict.fromkeys(member for member in found if member is not None))
    return members, None in found
