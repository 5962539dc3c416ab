"""Reads the vectors."""

import json
import pathlib

FOLDER = pathlib.Path(__file__).parents[2] / "claudemesh-core/tests/vectors"


def load(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def invalid(name):
    """The invalid cases of a file, each once by its name, for parametrised tests."""
    return [(f"{case.get('form', '')} {case['name']}".strip(), case) for case in load(name)["invalid"]]


def unhex(text):
    return bytes.fromhex(text)


def head_of(value):
    return value["index"], unhex(value["hash"])


def uuid(data):
    text = data.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
