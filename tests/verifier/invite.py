"""Invite links and the sealed welcome of docs/protocol.md section 3."""

import base64
import ipaddress
import re

from cbor import Malformed, decode, fixed, hash32, many, need, number, read, string, struct, text
from crypto import KDF, CannotOpen, L, open_sealed, public_key, public_of
from roster import Refused, require

PAYLOAD = struct({0: number(1, 1), 1: hash32, 2: public_key, 3: string(32, 32)})
BUNDLE = struct({0: text(), 1: hash32, 2: many(fixed(hash32, text()), 0, 1024), 3: many(text(), 0, 64)}, {4: text()})
LINK = re.compile(r"(https?)://(\[[^\]/]*\]|[^:/\[\]]*)(?::([^/]*))?/i#(.*)", re.DOTALL)


def check_host(host, port):
    if host.startswith("["):
        ipaddress.IPv6Address(host[1:-1])
        fits = "%" not in host
    else:
        fits = len(host) <= 253 and all(re.fullmatch(r"[A-Za-z0-9_-]+", label) for label in host.split("."))
    fits = fits and (port is None or (re.fullmatch(r"[1-9][0-9]{0,4}", port) and int(port) <= 65535))
    require(fits, "not_a_link")


def unbase64(payload):
    """Canonical unpadded base64url."""
    need(re.fullmatch(r"[A-Za-z0-9_-]*", payload) and len(payload) % 4 != 1)
    data = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    need(base64.urlsafe_b64encode(data).decode().rstrip("=") == payload)
    return data


def parse_link(link):
    """The broker's address and the payload of a link, as bytes and as a structure."""
    match = LINK.fullmatch(link)
    require(match and len(link) <= 2048, "not_a_link")
    scheme, host, port, payload = match.groups()
    try:
        check_host(host, port)
    except ValueError:
        raise Refused("not_a_link") from None
    address = ("wss://" if scheme == "https" else "ws://") + host + (f":{port}" if port else "")
    try:
        data = unbase64(payload)
        item = decode(data)
        need(type(item) is dict and type(item.get(0)) is int)
        require(item[0] == 1, "wrong_version")
        return address, data, PAYLOAD(item)
    except Malformed:
        raise Refused("damaged") from None


def invite_seed(secret):
    return KDF(secret, L("invite-key"))


def welcome_key(secret):
    return KDF(secret, L("invite-welcome"))


def open_welcome(secret, sealed):
    """The plaintext of a sealed welcome, as bytes and as a structure."""
    plaintext = open_sealed(welcome_key(secret), public_of(invite_seed(secret)), sealed)
    try:
        return plaintext, read(plaintext, BUNDLE)
    except Malformed:
        raise CannotOpen from None
