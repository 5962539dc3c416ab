"""The cryptography of docs/protocol.md section 1. What `cryptography` lacks is done here in plain Python."""

import functools
import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from cbor import need, string


class CannotOpen(Exception):
    """Something sealed, wrapped or padded does not open."""


def H(data):
    return hashlib.sha256(data).digest()


def L(name):
    return b"claudemesh/v1/" + name.encode() + b"\0"


def be32(n):
    return n.to_bytes(4, "big")


def be64(n):
    return n.to_bytes(8, "big")


def _hmac(key, data):
    return hmac.digest(key, data, "sha256")


def KDF(ikm, info):
    # HKDF-SHA256 with an empty salt; 32 bytes are one block of output.
    return _hmac(_hmac(bytes(32), ikm), info + b"\x01")


# Ids


def device_id(key):
    return H(L("device-id") + key)


def member_id(statement):
    return H(L("member-id") + statement)


def invite_id(key):
    return H(L("invite-id") + key)


# Merkle trees


def merkle_root(leaves):
    if len(leaves) == 1:
        return H(b"\0" + leaves[0])
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return H(b"\1" + merkle_root(leaves[:split]) + merkle_root(leaves[split:]))


def root_from_path(leaf, index, count, path):
    """The root a path leads to as RFC 9162 section 2.1.3.2 has it; None when its length does not fit."""
    if index >= count:
        return None
    fn, sn, r = index, count - 1, H(b"\0" + leaf)
    for p in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            r = H(b"\1" + p + r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = H(b"\1" + r + p)
        fn, sn = fn >> 1, sn >> 1
    return r if sn == 0 else None


# Ed25519, strict

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def decompress(data):
    """The curve point of a canonical encoding, else None."""
    encoded = int.from_bytes(data, "little")
    sign, y = encoded >> 255, encoded & (1 << 255) - 1
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * v**3 * pow(u * v**7, (P - 5) // 8, P) % P
    if v * x * x % P == -u % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if v * x * x % P != u or (x == 0 and sign):
        return None
    return (P - x if x & 1 != sign else x), y


def _double(point):
    x, y = point
    k = D * x * x * y * y % P
    return 2 * x * y * pow(1 + k, -1, P) % P, (y * y + x * x) * pow(1 - k, -1, P) % P


@functools.lru_cache(4096)
def is_weak(data):
    """No canonical encoding of a curve point, or one of small order: 8 times such a point is the neutral element."""
    point = decompress(data)
    return point is None or _double(_double(_double(point))) == (0, 1)


def public_key(item):
    """The form of an Ed25519 public key in a structure."""
    need(not is_weak(string(32, 32)(item)))
    return item


def verify(key, label, message, signature):
    """Whether `signature` is `Sign(key, L(label), message)`, strictly. The library compares R as bytes and bounds S."""
    if is_weak(key) or is_weak(signature[:32]):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, L(label) + message)
        return True
    except InvalidSignature:
        return False


def sign(seed, label, message):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(L(label) + message)


def public_of(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


# XChaCha20-Poly1305


def hchacha20(key, nonce):
    state = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xFFFFFFFF
            mixed = state[z] ^ state[x]
            state[z] = (mixed << turn | mixed >> (32 - turn)) & 0xFFFFFFFF

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *state[:4], *state[12:])


def seal(key, aad, plaintext, nonce):
    cipher = ChaCha20Poly1305(hchacha20(key, nonce[:16]))
    return nonce + cipher.encrypt(bytes(4) + nonce[16:], plaintext, aad)


def open_sealed(key, aad, sealed):
    if len(sealed) < 24 + 16:
        raise CannotOpen
    cipher = ChaCha20Poly1305(hchacha20(key, sealed[:16]))
    try:
        return cipher.decrypt(bytes(4) + sealed[16:24], sealed[24:], aad)
    except InvalidTag:
        raise CannotOpen from None


# Padding


def bucket(n):
    if n <= 256:
        return 256
    step = 1 << ((n - 1).bit_length() - 1 - 2)
    return -(-n // step) * step


def pad(data):
    return (be32(len(data)) + data).ljust(bucket(4 + len(data)), b"\0")


def unpad(padded):
    size = int.from_bytes(padded[:4], "big")
    data = padded[4 : 4 + size]
    if len(data) != size or pad(data) != padded:
        raise CannotOpen
    return data


# HPKE (RFC 9180) base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305

KEM_SUITE = b"KEM\x00\x20"
HPKE_SUITE = b"HPKE\x00\x20\x00\x01\x00\x03"


def _extract(suite, salt, label, ikm):
    return _hmac(salt or bytes(32), b"HPKE-v1" + suite + label + ikm)


def _expand(suite, prk, label, info, size):
    assert size <= 32
    return _hmac(prk, size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\x01")[:size]


def x25519_public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def unwrap(private, info, wrapped):
    """Opens `Wrap(public of private, info, p)`."""
    enc, ciphertext = wrapped[:32], wrapped[32:]
    try:
        dh = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(enc))
    except ValueError:  # an all-zero shared secret
        raise CannotOpen from None
    prk = _extract(KEM_SUITE, b"", b"eae_prk", dh)
    shared = _expand(KEM_SUITE, prk, b"shared_secret", enc + x25519_public(private), 32)
    context = b"\0" + _extract(HPKE_SUITE, b"", b"psk_id_hash", b"") + _extract(HPKE_SUITE, b"", b"info_hash", info)
    secret = _extract(HPKE_SUITE, shared, b"secret", b"")
    key = _expand(HPKE_SUITE, secret, b"key", context, 32)
    nonce = _expand(HPKE_SUITE, secret, b"base_nonce", context, 12)
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, b"")
    except InvalidTag:
        raise CannotOpen from None

