"""The wheel: its size, what it costs to import, and that others can type-check against it."""

import os
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

import claudemesh
import pytest
from conftest import python

MOST_BYTES = 12 * 1024 * 1024
MOST_SECONDS = 0.060
# Processor time: other programs of the machine do not count. The benchmark takes the time of a clock.
IMPORT = """
import time
started = time.process_time()
import claudemesh
print(time.process_time() - started)
"""


@pytest.mark.skipif("CLAUDEMESH_WHEEL" not in os.environ, reason="no wheel was named")
def test_the_wheel_is_small_and_for_every_later_python() -> None:
    wheel = Path(os.environ["CLAUDEMESH_WHEEL"])
    assert wheel.stat().st_size <= MOST_BYTES, f"{wheel.stat().st_size / 1024 / 1024:.1f} MiB"
    assert "-cp311-abi3-" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    assert {"claudemesh/py.typed", "claudemesh/_claudemesh.pyi", "claudemesh/sync/_mesh.py"} <= set(names)


def test_the_import_is_quick() -> None:
    times = [float(python(IMPORT).stdout) for _ in range(10)]
    assert statistics.median(times) <= MOST_SECONDS, times


def test_the_import_starts_nothing() -> None:
    code = "import claudemesh, os; print(len(os.listdir('/proc/self/task')), 'asyncio' in __import__('sys').modules)"
    assert python(code).stdout == "1 False\n"


def test_its_version_is_told() -> None:
    assert claudemesh.__version__.count(".") == 2


PROGRAM = """
import asyncio
import claudemesh
from claudemesh import sync


async def main() -> None:
    async with claudemesh.open() as mesh:
        sent = await mesh.send("bob", "hi", priority="now")
        state: claudemesh.api.State = (await sent.wait("delivered")).state
        async for event in mesh.events_from("bot"):
            match event:
                case claudemesh.MessageEvent(message):
                    await message.reply("thanks")
                case claudemesh.ReceiptEvent(state=state):
                    pass
            await event.ack()
        names: list[str] = [peer.name for peer in await mesh.peers()]
    with sync.open() as plain:
        for post in plain.topic("general").tail():
            reveal_type(post.from_.name)
        plain.send(1, "text")


asyncio.run(main())
"""


def test_a_program_is_type_checked_against_it(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(program)],
        capture_output=True,
        text=True,
    )
    findings = [line for line in checked.stdout.splitlines() if "error" in line and "Found" not in line]
    assert 'Revealed type is "str"' in checked.stdout.replace("builtins.", ""), checked.stdout
    assert len(findings) == 1 and 'Argument 1 to "send"' in findings[0], checked.stdout
