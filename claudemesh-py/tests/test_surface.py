"""Nothing of the Rust SDK is missing: its sources are read, and compared with the module."""

import enum
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import claudemesh
import pytest
from claudemesh import api
from conftest import ROOT

CLIENT = ROOT / "claudemesh-client" / "src"

# Builders of Rust are keyword arguments here, of these calls.
BUILDERS = {
    "MeshBuilder": ["open", "join", "up"],
    "MemoryBuilder": ["join_in_memory"],
    "SendMessage": ["Mesh.send"],
    "InboxRequest": ["Mesh.inbox"],
    "CreateTopic": ["Mesh.create_topic"],
    "SearchPosts": ["Mesh.search"],
    "WaitFor": ["SentMessage.wait"],
    "WritePost": ["Topic.post"],
    "ReadPosts": ["Topic.history"],
    "TailPosts": ["Topic.tail"],
    "SetState": ["SharedState.set", "SharedState.compare_and_set"],
    "DeleteState": ["SharedState.delete", "SharedState.compare_and_delete"],
    "WatchState": ["SharedState.watch"],
    "RememberText": ["SharedMemory.remember"],
    "RecallMemories": ["SharedMemory.recall"],
    "CreateTask": ["Tasks.create"],
    "ListTasks": ["Tasks.list"],
    "ClaimTask": ["Tasks.claim"],
    "JoinGroup": ["Groups.join"],
    "LeaveGroup": ["Groups.leave"],
    "ListNotifications": ["Notifications.list"],
}
# What has another name, or is said otherwise.
RENAMED = {
    ("Mesh", "builder"): "open",
    ("Mesh", "open"): "open",
    ("MeshBuilder", "open"): "open",
    ("MeshBuilder", "join"): "join",
    ("MeshBuilder", "up"): "up",
    ("MeshBuilder", "in_memory"): "join_in_memory",
    ("MemoryBuilder", "join"): "join_in_memory",
    ("Events", "next"): "Events.__anext__",
    ("Tail", "next"): "Tail.__anext__",
    ("Changes", "next"): "Changes.__anext__",
}
ARGUMENTS = {
    ("MeshBuilder", "embedded"): "backend",
    ("MeshBuilder", "attach"): "backend",
    ("CreateTopic", "member"): "members",
    ("RememberText", "tag"): "tags",
    ("RecallMemories", "tag"): "tags",
}
# What means nothing in Python, and why.
LEFT_OUT = {
    ("Mesh", "from_service"): "services are traits of Rust",
    ("Mesh", "service"): "services are traits of Rust",
    ("Received", "into_inner"): "a received message is an api.Message",
    ("ClaimedTask", "into_inner"): "a claimed task is an api.Task",
    ("Receipt", "check"): "SentMessage.wait raises what it says",
}


def sources(folder: str) -> str:
    files = [*CLIENT.glob(f"{folder}.rs"), *CLIENT.glob(f"{folder}/*.rs")]
    return "\n".join(file.read_text().split("#[cfg(test)]\nmod tests {")[0] for file in sorted(files))


def public_methods() -> list[tuple[str, str]]:
    found = []
    for block in re.finditer(r"^impl(?:<[^>]*>)? (\w+)(?:<[^>]*>)? \{\n(.*?)^\}", sources("mesh"), re.M | re.S):
        for method in re.finditer(r"^    pub (?:const )?(?:async )?fn (\w+)", block[2], re.M):
            found.append((block[1], method[1]))
    return found


def test_the_sources_were_understood() -> None:
    found = public_methods()
    assert len(found) > 120
    assert {("Mesh", "send"), ("Topic", "post"), ("Delivered", "ack"), ("WaitFor", "timeout")} <= set(found)


@pytest.mark.parametrize(("handle", "method"), public_methods())
def test_every_public_method_has_its_counterpart(handle: str, method: str) -> None:
    if (handle, method) in LEFT_OUT:
        assert not hasattr(getattr(claudemesh, handle, None), method)
        return
    if (handle, method) in RENAMED:
        assert callable(resolved(RENAMED[handle, method]))
        return
    if handle in BUILDERS:
        argument = ARGUMENTS.get((handle, method), method)
        for call in BUILDERS[handle]:
            if argument != "mesh" or call != "join":  # A link says which mesh.
                assert argument in inspect.signature(resolved(call)).parameters, f"{call} takes no {argument}"
        return
    assert method in vars(getattr(claudemesh, handle)) or method in member_annotations(handle)


def resolved(path: str) -> Any:
    value: Any = claudemesh
    for part in path.split("."):
        value = getattr(value, part)
    return value


def member_annotations(handle: str) -> dict[str, object]:
    return dict(inspect.get_annotations(getattr(claudemesh, handle)))


def test_every_handle_of_the_sdk_is_exported() -> None:
    exported = re.search(r"pub use mesh::\{(.*?)\};", (CLIENT / "lib.rs").read_text(), re.S)
    assert exported is not None
    # Addresses are texts, and a receipt is a state that can be waited for.
    handles = set(re.findall(r"\w+", exported[1])) - set(BUILDERS) - {"To", "Receipt"}
    assert handles == {name for name in handles if hasattr(claudemesh, name)}


STRUCTS: dict[str, list[tuple[str, str]]] = {}
ENUMS: dict[str, list[str]] = {}
for item in re.finditer(r"^pub (struct|enum) (\w+) \{\n(.*?)^\}", sources("api"), re.M | re.S):
    if item[1] == "enum":
        ENUMS[item[2]] = re.findall(r"^    (\w+),$", item[3], re.M)
    else:
        STRUCTS[item[2]] = re.findall(r"^    pub (\w+): (.*),$", item[3], re.M)


def answers() -> set[str]:
    """The data types that calls answer with, and those in them."""
    mesh = sources("mesh")
    returned = re.findall(r"pub (?:async )?fn [^{;]*?-> ([^{;]*)", mesh)
    named = " ".join(returned + re.findall(r"^asks!\((.*)\);", mesh, re.M))
    wanted, found = set(re.findall(r"api::(\w+)", named)), set()
    while wanted:
        name = wanted.pop()
        if name in STRUCTS:
            found.add(name)
            types = " ".join(kind for _, kind in STRUCTS[name])
            wanted |= set(re.findall(r"[A-Z]\w+", types)) - found
        elif name in ENUMS:
            found.add(name)
    return found


def python_type(rust: str) -> str:
    plain = {"String": "str", "u32": "int", "u64": "int", "bool": "bool", "f64": "float", "Value": "Json"}
    rust = rust.removeprefix("super::")
    for wrapper, form in (("Option", "{} | None"), ("Vec", "list[{}]"), ("Box", "{}")):
        if rust.startswith(f"{wrapper}<"):
            return form.format(python_type(rust[len(wrapper) + 1 : -1]))
    return plain.get(rust, rust)


@pytest.mark.parametrize("name", sorted(answers() - {"Event", "UpRequest", "JoinRequest"}))
def test_every_data_type_has_the_same_fields(name: str) -> None:
    kind = getattr(api, name)
    assert kind.__doc__
    if name in ENUMS:
        assert issubclass(kind, enum.StrEnum)
        assert [word.value for word in kind] == [word.lower() for word in ENUMS[name]]
        return
    fields = [(name, inspect.get_annotations(kind)[name]) for name in kind.__match_args__]
    names = {"from": "from_"}
    assert fields == [(names.get(name, name), python_type(kind)) for name, kind in STRUCTS[name]]


def test_there_is_no_data_type_that_the_sdk_does_not_have() -> None:
    ours = {name for name, kind in vars(api).items() if inspect.isclass(kind) and kind.__module__ == api.__name__}
    assert ours <= set(STRUCTS) | set(ENUMS)
    assert answers() - {"Event", "UpRequest", "JoinRequest"} <= ours


def test_the_package_without_asyncio_is_made_of_the_other() -> None:
    made = [sys.executable, "-B", "make_sync.py", "--check"]
    subprocess.run(made, cwd=ROOT / "claudemesh-py", check=True)


def test_everything_public_is_documented() -> None:
    for module in (claudemesh, claudemesh.sync):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value):
                methods = {key: each for key, each in vars(value).items() if not key.startswith("_")}
                for key, each in methods.items():
                    if callable(each) or isinstance(each, property):
                        assert inspect.getdoc(each), f"{name}.{key}"
            if inspect.isclass(value) or inspect.isfunction(value):
                assert value.__doc__, name


def test_the_installed_package_is_tested_and_not_the_sources() -> None:
    assert not Path(claudemesh.__file__).is_relative_to(ROOT / "claudemesh-py")
