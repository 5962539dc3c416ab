"""The same module through a home's daemon, which a real `claudemesh` runs."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import claudemesh
import pytest
from conftest import ROOT, next_of

BINARY = os.environ.get("CLAUDEMESH_BINARY", str(ROOT / "target" / "debug" / "claudemesh"))


class Daemon:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.up = self.run("up", "--name", "alice", "--listen", "127.0.0.1:0")

    def run(self, *arguments: str) -> Any:
        environment = os.environ | {"CLAUDEMESH_HOME": str(self.home)}
        done = subprocess.run([BINARY, *arguments, "--json"], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path / "alice")
    yield daemon
    daemon.run("down")


async def test_a_program_attaches_to_the_daemon(daemon: Daemon) -> None:
    async with claudemesh.open(daemon.home, backend="attach") as alice:
        assert not alice.is_embedded
        async with claudemesh.join_in_memory(daemon.up["link"], name="bob") as bob:
            events, arrivals = await alice.events_from("bot"), await bob.events()
            await (await alice.send("bob", "through the daemon")).wait("delivered")
            await (await next_of(claudemesh.MessageEvent, arrivals)).message.reply("thanks")
            answer = await next_of(claudemesh.MessageEvent, events)
            assert answer.message.body == "thanks"
            await answer.ack()
            await answer.message.mark_read()
            assert await alice.inbox(unread=True) == []
            async with alice.state().watch() as changes:
                await alice.state().set("key", {"a": 1})
                assert (await changes.__anext__()).value == {"a": 1}
            # As the command line sees it.
            assert daemon.run("state", "get", "key")["value"] == {"a": 1}
    assert daemon.run("whoami")["member"]["name"] == "alice"


async def test_many_calls_at_once_through_the_daemon(daemon: Daemon) -> None:
    async with claudemesh.open(daemon.home) as alice:
        answers = await asyncio.gather(*(alice.whoami() for _ in range(200)))
        assert {answer.member.name for answer in answers} == {"alice"}
        waiting = asyncio.create_task(alice.inbox(wait=3600))
        await alice.whoami()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_daemon_that_ends_is_unreachable(daemon: Daemon) -> None:
    mesh = await claudemesh.open(daemon.home, backend="attach")
    await mesh.shutdown()
    with pytest.raises(claudemesh.UnreachableError):
        await mesh.whoami()
    await mesh.close()
