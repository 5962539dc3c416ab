"""The same calls without asyncio."""

import asyncio
import inspect
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import claudemesh
import pytest
from claudemesh import api, sync
from conftest import PATIENCE


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[sync.Mesh, sync.Mesh]]:
    with sync.Broker() as broker, sync.up(tmp_path / "alice", name="alice", broker=broker.url) as alice:
        link = alice.invite(uses=10).link
        assert link is not None
        with sync.join_in_memory(link, name="bob") as bob:
            yield alice, bob


def test_a_message_arrives_and_is_answered(pair: tuple[sync.Mesh, sync.Mesh]) -> None:
    alice, bob = pair
    with bob.events() as events, alice.events_from("bot") as answers:
        alice.send("bob", "hi", ttl=timedelta(minutes=1)).wait("delivered")
        message = next(event.message for event in events if isinstance(event, sync.MessageEvent))
        assert isinstance(message, sync.Received) and message.body == "hi"
        message.mark_read()
        message.reply("thanks").wait()
        for event in answers:
            match event:
                case sync.MessageEvent(answer):
                    assert answer.body == "thanks"
                    event.ack()
                    break
    assert list(events) == []


def test_everything_else_works_without_a_loop(pair: tuple[sync.Mesh, sync.Mesh]) -> None:
    alice, bob = pair
    topic = alice.topic("general")
    with topic.tail() as posts:
        topic.post("look, @bob")
        assert next(posts).body == "look, @bob"
    assert topic.history().posts[0].from_.name == "alice"
    assert alice.state().set("key", [1, 2]).value == [1, 2]
    assert alice.memory().remember("a text", tags=["a"]).tags == ["a"]
    claimed = alice.tasks().claim(alice.tasks().create("a task").id)
    assert claimed.complete("done").state is api.TaskState.DONE
    assert {peer.name for peer in alice.peers()} == {"alice", "bob"}
    assert alice.groups().join("backend").group == "backend"
    with pytest.raises(claudemesh.NotFoundError):
        bob.send("nobody", "hi")


def test_it_works_inside_a_running_loop(pair: tuple[sync.Mesh, sync.Mesh]) -> None:
    alice, bob = pair

    async def cell() -> str:
        alice.send("bob", "from a cell").wait()
        return bob.inbox(wait=10)[0].body

    assert asyncio.run(cell()) == "from a cell"


def test_threads_run_while_one_waits(pair: tuple[sync.Mesh, sync.Mesh]) -> None:
    alice, bob = pair
    waited: list[str] = []
    reader = threading.Thread(target=lambda: waited.append(bob.inbox(wait=30)[0].body))
    reader.start()
    # The reader would hold the interpreter if it were not released, and this would not return.
    alice.send("bob", "for the thread").wait()
    reader.join(PATIENCE)
    assert waited == ["for the thread"]


def test_many_threads_use_one_mesh(pair: tuple[sync.Mesh, sync.Mesh]) -> None:
    alice, bob = pair
    with bob.events() as events:
        senders = [
            threading.Thread(target=lambda name=name: [alice.send("bob", f"{name}/{n}") for n in range(50)])
            for name in range(8)
        ]
        for sender in senders:
            sender.start()
        texts: list[str] = []
        for event in events:
            if isinstance(event, sync.MessageEvent):
                texts.append(event.message.body)
            if len(texts) == 400:
                break
        for sender in senders:
            sender.join()
    assert sorted(texts) == sorted(f"{name}/{n}" for name in range(8) for n in range(50))


def test_ctrl_c_ends_a_call_that_waits(tmp_path: Path) -> None:
    code = """
import sys, time
from claudemesh import sync
with sync.Broker() as broker, sync.up(sys.argv[1], name="alice", broker=broker.url) as mesh:
    try:
        print("waiting", flush=True)
        mesh.inbox(wait=3600)
    except KeyboardInterrupt:
        print(mesh.whoami().member.name, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "home")], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "waiting\n"
    interrupted = time.monotonic()
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=PATIENCE)
    assert (out, child.returncode) == ("alice\n", 0)
    assert time.monotonic() - interrupted < 20


def test_both_ways_have_the_same_calls() -> None:
    for name in sync.__all__:
        plain, awaited = getattr(sync, name), getattr(claudemesh, name)
        if name == "Event":
            continue
        if not inspect.isclass(plain):
            assert str(inspect.signature(plain)).split(" -> ")[0] == str(inspect.signature(awaited)).split(" -> ")[0]
            continue
        for method, function in vars(awaited).items():
            if method.startswith("_") or not callable(function):
                continue
            assert inspect.signature(getattr(plain, method)) == inspect.signature(function), f"{name}.{method}"
            assert not inspect.iscoroutinefunction(getattr(plain, method)), f"{name}.{method}"
