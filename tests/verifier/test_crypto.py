"""The cryptography and encoding against published values and their own rules."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cbor import Malformed, decode
from crypto import (
    H, L, P, CannotOpen, bucket, decompress, hchacha20, is_weak, merkle_root, pad, public_of, root_from_path, sign, unpad,
    verify,
)  # fmt: skip


def test_hchacha20():
    # draft-irtf-cfrg-xchacha-03, section 2.2.1
    nonce = bytes.fromhex("000000090000004a0000000031415927")
    expected = "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"
    assert hchacha20(bytes(range(32)), nonce).hex() == expected


def small_order_points():
    """Encodings of all eight points of small order, canonical or not."""
    eighth = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
    ys = [0, 1, P - 1, eighth, P - eighth, P, P + 1]
    return [(y | sign_bit << 255).to_bytes(32, "little") for y in ys for sign_bit in (0, 1)]


@pytest.mark.parametrize("key", small_order_points(), ids=lambda it: it.hex()[:8])
def test_weak_keys_are_refused(key):
    assert is_weak(key)


def test_eight_of_them_are_canonical():
    assert sum(decompress(key) is not None for key in small_order_points()) == 8


def test_strong_keys_pass_and_verify():
    for n in range(20):
        seed = H(bytes([n]))
        key = public_of(seed)
        assert not is_weak(key)
        signature = sign(seed, "x", b"message")
        assert verify(key, "x", b"message", signature)
        assert not verify(key, "y", b"message", signature)
        order = 2**252 + 27742317777372353535851937790883648493
        s = int.from_bytes(signature[32:], "little") + order
        assert not verify(key, "x", b"message", signature[:32] + s.to_bytes(32, "little")), "S not below the order"


def test_a_signature_with_a_commitment_of_small_order_is_refused():
    # Made by the key's holder with R the neutral element: verifiers that are not strict take it.
    s = "5d98399347cc38c321fc7a12870537c67323bf0143ddb0ac3e6e7e13109dbf02"
    key, signature = public_of(bytes([7]) * 32), bytes([1]) + bytes(31) + bytes.fromhex(s)
    Ed25519PublicKey.from_public_bytes(key).verify(signature, L("test") + b"message")
    assert not verify(key, "test", b"message", signature)


def test_a_point_off_the_curve_is_weak():
    off = next(y for y in range(2, 100) if decompress(y.to_bytes(32, "little")) is None)
    assert is_weak(off.to_bytes(32, "little"))


def test_merkle_paths():
    def path(leaves, index):
        if len(leaves) == 1:
            return []
        split = 1 << ((len(leaves) - 1).bit_length() - 1)
        if index < split:
            return path(leaves[:split], index) + [merkle_root(leaves[split:])]
        return path(leaves[split:], index - split) + [merkle_root(leaves[:split])]

    leaves = [bytes([n]) for n in range(33)]
    for count in range(1, 34):
        for index in range(count):
            siblings = path(leaves[:count], index)
            assert root_from_path(leaves[index], index, count, siblings) == merkle_root(leaves[:count])
            assert root_from_path(leaves[index], index, count, siblings + [bytes(32)]) is None
            if siblings:
                assert root_from_path(leaves[index], index, count, siblings[:-1]) is None
    assert root_from_path(b"", 1, 1, []) is None


def test_padding():
    assert [bucket(n) for n in (0, 256, 257, 320, 321, 512, 513, 1025)] == [256, 256, 320, 320, 384, 512, 640, 1280]
    for size in (0, 1, 252, 253, 5000):
        padded = pad(bytes(size))
        assert len(padded) == bucket(4 + size) and unpad(padded) == bytes(size)
        with pytest.raises(CannotOpen):
            unpad(padded + bytes(1))
    with pytest.raises(CannotOpen):
        unpad(pad(b"")[:-1] + b"\1")


@pytest.mark.parametrize("item", ["00", "1818", "a0", "a20001182a00", "820102", "f5", "4100", "62c3a9", "90" + "00" * 16])
def test_the_one_encoding_is_read(item):
    decode(bytes.fromhex(item))


NOT_THE_ONE_ENCODING = """
    empty:
    bytes after the item: 0000
    cut short: 19ff
    number not in shortest form: 1817
    number not in shortest form, of eight bytes: 1b00000000ffffffff
    negative number: 20
    tag: c000
    null: f6
    undefined: f7
    float: f90000
    simple value in two bytes: f8ff
    indefinite array: 9fff
    indefinite map: bfff
    indefinite string: 5fff
    key twice: a200000000
    keys not ascending: a201000000
    text key: a1616100
    negative key: a12000
    key of 64 bits: a11b800000000000000000
    long key: a1180000
    text not in UTF-8: 61ff
    text of a surrogate: 63eda080
    hostile length: 5bffffffffffffffff
    hostile count: 9bffffffffffffffff
"""


@pytest.mark.parametrize("line", NOT_THE_ONE_ENCODING.strip().splitlines(), ids=lambda it: it.split(":")[0].strip())
def test_no_other_encoding_is_read(line):
    with pytest.raises(Malformed):
        decode(bytes.fromhex(line.split(":")[1]))


def test_depth():
    decode(b"\x81" * 16 + b"\0")
    with pytest.raises(Malformed):
        decode(b"\x81" * 17 + b"\0")
