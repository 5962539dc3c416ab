"""The core's vectors, as far as the module has what they are about: invite links and safety numbers."""

import json
from typing import Any

import claudemesh
import pytest
from conftest import ROOT

VECTORS = json.loads((ROOT / "claudemesh-core" / "tests" / "vectors" / "invite.json").read_text())


def vectors(verdict: str, kind: str) -> list[Any]:
    found = [pytest.param(vector, id=vector["name"]) for vector in VECTORS[verdict] if vector["type"] == kind]
    assert found
    return found


@pytest.mark.parametrize("vector", vectors("valid", "link"))
def test_links_are_read(vector: Any) -> None:
    link = claudemesh.read_link(vector["link"])
    assert link == claudemesh.Link(vector["mesh"], vector["broker_key"], vector["address"])
    assert vector["secret"] not in repr(link)


@pytest.mark.parametrize("vector", vectors("invalid", "link"))
def test_what_is_no_link_is_refused(vector: Any) -> None:
    with pytest.raises(claudemesh.UsageError):
        claudemesh.read_link(vector["link"])


@pytest.mark.parametrize("vector", vectors("valid", "safety"))
def test_safety_numbers(vector: Any) -> None:
    assert claudemesh.safety_number(vector["mesh"], vector["a"], vector["b"]) == vector["number"]


def test_what_is_no_id_is_refused() -> None:
    for ids in (("", "00", "00"), ("11" * 32, "zz", "33" * 32), ("11" * 32, "33" * 32, "33")):
        with pytest.raises(claudemesh.UsageError):
            claudemesh.safety_number(*ids)
