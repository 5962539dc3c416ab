"""Ten thousand messages, a hundred thousand events, a broker that is killed."""

import asyncio
import gc
import subprocess
import sys
from pathlib import Path

import claudemesh
import pytest
from conftest import town

MESSAGES = 10_000
WINDOW = 64
EVENTS = 100_000
ROUND = 5_000
GROWTH = 1024 * 1024


async def send_all(mesh: claudemesh.Mesh, texts: list[str]) -> None:
    """Sends with many under way."""
    waiting = iter(texts)

    async def sender() -> None:
        for text in waiting:
            await mesh.send("bob", text)

    await asyncio.gather(*(sender() for _ in range(WINDOW)))


async def read_all(events: claudemesh.Events, count: int) -> list[str]:
    texts: list[str] = []
    async for event in events:
        if isinstance(event, claudemesh.MessageEvent):
            texts.append(event.message.body)
            if len(texts) == count:
                break
    return texts


async def test_ten_thousand_messages_arrive_once_each(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        bob = await place.join("bob")
        texts = [str(number) for number in range(MESSAGES)]
        events = await bob.events()
        _, read = await asyncio.gather(send_all(place.owner, texts), read_all(events, MESSAGES))
        assert sorted(read, key=int) == texts
        # Nothing comes twice after them either.
        await (await place.owner.send("bob", "last")).wait()
        assert await read_all(events, 1) == ["last"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
async def test_memory_is_stable_over_a_hundred_thousand_events(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        async with claudemesh.join(place.link, tmp_path / "bob", name="bob") as bob:
            async with bob.events_from("reader"):
                pass
            await send_all(place.owner, ["a text of some length " * 5] * ROUND)

            async def read() -> None:
                # Nothing is acknowledged: each time all of them come again.
                async with bob.events_from("reader") as events:
                    await read_all(events, ROUND)

            for _ in range(4):
                await read()
            before = resident()
            for _ in range(EVENTS // ROUND):
                await read()
            grown = resident() - before
            assert grown <= GROWTH, f"{grown / 1024:.0f} KiB more"


def resident() -> int:
    gc.collect()
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


BROKER = """
import sys
from claudemesh import sync
broker = sync.Broker(sys.argv[1], listen=sys.argv[2]).start()
print(broker.url, flush=True)
sys.stdin.read()
"""


class BrokerProcess:
    """A broker in a process of its own, which can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listen = "127.0.0.1:0"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-c", BROKER, str(self.folder), self.listen]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.child.stdout is not None
        self.url = self.child.stdout.readline().strip()
        self.listen = self.url.removeprefix("ws://")

    def kill(self) -> None:
        self.child.kill()
        self.child.communicate()


async def test_a_killed_broker_loses_and_doubles_nothing(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path / "broker")
    try:
        async with claudemesh.up(tmp_path / "alice", name="alice", broker=broker.url) as alice:
            link = (await alice.invite()).link
            assert link is not None
            async with claudemesh.join(link, tmp_path / "bob", name="bob") as bob:
                events = await bob.events()
                texts = [str(number) for number in range(600)]
                sending = asyncio.create_task(send_all(alice, texts))
                read: list[str] = []
                for kill_after in (100, 300):
                    read += await read_all(events, kill_after - len(read))
                    await asyncio.to_thread(broker.kill)
                    await asyncio.to_thread(broker.start)
                read += await read_all(events, len(texts) - len(read))
                await sending
                assert sorted(read, key=int) == texts
                last = await alice.send("bob", "last")
                await last.wait("delivered", timeout=60)
                assert await read_all(events, 1) == ["last"]
    finally:
        broker.kill()
