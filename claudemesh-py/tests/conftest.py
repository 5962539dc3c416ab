"""What tests share. The module under test is the installed wheel; the sources are read only to compare with them."""

import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import claudemesh
import pytest

ROOT = Path(__file__).parents[2]
# How long a test may wait for something that has to happen.
PATIENCE = 60


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a test that is a coroutine in a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(asyncio.wait_for(pyfuncitem.obj(**arguments), 4 * PATIENCE))
    return True


@pytest.fixture(autouse=True)
def no_home_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLAUDEMESH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CLAUDEMESH_SESSION", raising=False)


class Town:
    """A broker, the owner of a mesh, and a link to it."""

    def __init__(self, broker: claudemesh.Broker, owner: claudemesh.Mesh, link: str, stack: AsyncExitStack) -> None:
        self.broker = broker
        self.owner = owner
        self.link = link
        self._stack = stack

    async def join(self, name: str) -> claudemesh.Mesh:
        return await self._stack.enter_async_context(claudemesh.join_in_memory(self.link, name=name))


@asynccontextmanager
async def town(folder: Path, name: str = "alice") -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(claudemesh.Broker())
        owner = await stack.enter_async_context(claudemesh.up(folder / name, name=name, broker=broker.url))
        link = (await owner.invite(uses=100)).link
        assert link is not None
        yield Town(broker, owner, link, stack)


async def next_of(kind: type[Any], events: claudemesh.Events) -> Any:
    """The next event of a kind."""
    async for event in events:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"the feed ended without a {kind.__name__}")


def python(code: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a program in a fresh interpreter."""
    command = [sys.executable, "-c", code, *arguments]
    options.setdefault("timeout", PATIENCE)
    return subprocess.run(command, capture_output=True, text=True, env=os.environ.copy(), **options)
