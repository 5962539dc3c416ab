"""How the module behaves in event loops: cancelling, several loops, ending, forking."""

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import claudemesh
import claudemesh.sync
import pytest
from conftest import PATIENCE, python, town


async def test_calls_are_coroutines(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(place.owner.whoami()) for _ in range(100)]
        assert {task.result().mesh.id for task in tasks} == {place.owner.id}
        call = place.owner._handle.whoami()
        assert asyncio.iscoroutine(call)
        await asyncio.create_task(call)
        with pytest.raises(RuntimeError, match="awaited already"):
            await call


async def test_a_cancelled_task_cancels_the_work(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        waiting = asyncio.create_task(place.owner.inbox(wait=3600))
        await place.owner.whoami()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(place.owner.inbox(wait=3600), 0.01)
        # The mesh could not be closed quickly if its work went on.
        await asyncio.wait_for(place.owner.close(), 10)


async def test_no_event_is_lost_by_who_stops_waiting(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        bob = await place.join("bob")
        events = await bob.events()
        count = 200
        seen: list[str] = []

        async def send() -> None:
            for number in range(count):
                await place.owner.send("bob", str(number))

        sending = asyncio.create_task(send())
        while len(seen) < count:
            try:
                event = await asyncio.wait_for(events.__anext__(), 0.0005)
            except asyncio.TimeoutError:
                continue
            if isinstance(event, claudemesh.MessageEvent):
                seen.append(event.message.body)
        await sending
        assert seen == [str(number) for number in range(count)]


async def test_a_busy_stream_lets_other_tasks_run(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        state = place.owner.state()
        await asyncio.gather(*(state.set(f"key-{number}", number) for number in range(500)))
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with place.owner.state().watch(with_current=True) as changes:
            running, seen = asyncio.create_task(other()), 0
            async for _ in changes:
                seen += 1
                if seen == 500:
                    break
        running.cancel()
        assert turns > 3


async def test_two_readers_share_a_stream(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        watch = await place.owner.state().watch()
        readers = [asyncio.create_task(watch.__anext__()) for _ in range(2)]
        await place.owner.state().set("a", 1)
        await place.owner.state().set("b", 2)
        assert {entry.key for entry in await asyncio.gather(*readers)} == {"a", "b"}


def test_a_mesh_is_used_from_several_loops_and_threads(tmp_path: Path) -> None:
    async def main() -> None:
        async with town(tmp_path) as place:
            bob = await place.join("bob")
            errors: list[BaseException] = []

            def sender(name: int) -> None:
                async def send() -> None:
                    for number in range(25):
                        sent = await place.owner.send("bob", f"{name}/{number}")
                        await sent.wait("accepted")

                try:
                    asyncio.run(send())
                except BaseException as error:
                    errors.append(error)

            threads = [threading.Thread(target=sender, args=(name,)) for name in range(4)]
            events = await bob.events()
            for thread in threads:
                thread.start()
            texts: list[str] = []
            while len(texts) < 100:
                event = await events.__anext__()
                if isinstance(event, claudemesh.MessageEvent):
                    texts.append(event.message.body)
            for thread in threads:
                await asyncio.to_thread(thread.join)
            assert not errors
            assert sorted(texts) == sorted(f"{name}/{number}" for name in range(4) for number in range(25))

    asyncio.run(main())


def test_a_loop_that_was_closed_leaves_nothing_behind(tmp_path: Path) -> None:
    with claudemesh.sync.Broker() as broker:
        with claudemesh.sync.up(tmp_path / "alice", name="alice", broker=broker.url) as owner:
            handle = owner._handle

            async def abandon() -> Any:
                call = handle.inbox(False, None, 3600.0)
                step = call.send(None)
                assert asyncio.isfuture(step)
                return call

            loops = []
            for _ in range(20):
                loop = asyncio.new_event_loop()
                call = loop.run_until_complete(abandon())
                loop.close()
                loops.append(weakref.ref(loop))
                del loop
                call.close()
                del call
            owner.whoami()
            gc.collect()
            assert sum(loop() is not None for loop in loops) <= 1


def test_a_stream_goes_on_in_the_next_loop(tmp_path: Path) -> None:
    with claudemesh.sync.Broker() as broker:
        with claudemesh.sync.up(tmp_path / "alice", name="alice", broker=broker.url) as plain:
            mesh = claudemesh.Mesh(plain._handle)
            watch = mesh.state().watch()
            asyncio.run(opened_and_waited(watch))
            plain.state().set("key", 1)
            assert asyncio.run(next_entry(watch)).key == "key"
            closed = asyncio.new_event_loop()
            closed.close()
            waiting = next_entry(watch)
            with pytest.raises(RuntimeError, match="loop is closed"):
                closed.run_until_complete(waiting)
            waiting.close()


async def opened_and_waited(watch: claudemesh.Changes) -> None:
    await watch.open()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(watch.__anext__(), 0.01)


async def next_entry(watch: claudemesh.Changes) -> claudemesh.api.StateEntry:
    return await watch.__anext__()


def test_without_a_loop_the_error_says_what_to_do(tmp_path: Path) -> None:
    with claudemesh.sync.Broker() as broker:
        with claudemesh.sync.up(tmp_path / "alice", name="alice", broker=broker.url) as owner:
            with pytest.raises(RuntimeError, match=r"claudemesh\.sync"):
                owner._handle.whoami().send(None)


OPENED = """
import asyncio, sys, os, signal
import claudemesh
home = sys.argv[1]
async def opened():
    broker = await claudemesh.Broker().start()
    return broker, await claudemesh.up(home, name="alice", broker=broker.url)
"""


def test_an_interpreter_ends_well_with_live_subscriptions(tmp_path: Path) -> None:
    code = OPENED + """
async def main():
    global kept
    broker, mesh = await opened()
    events, tail = await mesh.events(), await mesh.topic("general").tail()
    kept = broker, mesh, events, tail, [asyncio.ensure_future(events.__anext__()) for _ in range(3)]
    print("open", flush=True)
asyncio.run(main())
"""
    ended = python(code, str(tmp_path / "home"))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "open\n", "")
    # It was closed: its home can be opened at once.
    again = python("import claudemesh.sync, sys; claudemesh.sync.open(sys.argv[1]).close()", str(tmp_path / "home"))
    assert again.returncode == 0, again.stderr


def test_an_interpreter_ends_well_in_the_middle_of_calls(tmp_path: Path) -> None:
    code = OPENED + """
loop = asyncio.new_event_loop()
broker, mesh = loop.run_until_complete(opened())
for number in range(200):
    call = mesh._handle.send("alice", str(number), None, None, None, None, None)
    loop.call_soon(lambda call=call: call.send(None))
    if number % 3 == 0:
        globals()[f"call_{number}"] = call
loop.run_until_complete(asyncio.sleep(0))
print("under way", flush=True)
"""
    ended = python(code, str(tmp_path / "home"))
    assert (ended.returncode, ended.stdout) == (0, "under way\n"), ended.stderr


def test_ctrl_c_ends_a_program(tmp_path: Path) -> None:
    code = OPENED + """
async def main():
    broker, mesh = await opened()
    try:
        async for event in await mesh.events():
            print(event, flush=True)
    finally:
        await mesh.close()
        print("closed", flush=True)
async def announced():
    main_task = asyncio.ensure_future(main())
    await asyncio.sleep(0)
    print("running", flush=True)
    await main_task
asyncio.run(announced())
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "home")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "running\n"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=PATIENCE)
    assert "KeyboardInterrupt" in err and child.returncode != 0, (out, err)


def test_a_forked_child_gets_an_error_and_does_no_harm(tmp_path: Path) -> None:
    code = OPENED + """
import claudemesh.sync, gc
broker = claudemesh.sync.Broker().start()
mesh = claudemesh.sync.up(home, name="alice", broker=broker.url)
watch = mesh.state().watch().open()
child = os.fork()
if child == 0:
    wrong = 0
    for call in (mesh.whoami, mesh.state, lambda: claudemesh.sync.open(home), watch.__next__, mesh.close):
        try:
            call()
        except claudemesh.UsageError as error:
            assert "forked" in str(error), error
            wrong += 1
    del mesh, watch, broker
    gc.collect()
    sys.exit(wrong)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
mesh.state().set("still", "here")
assert next(watch).value == "here"
try:
    claudemesh.sync.open(home)
except claudemesh.LockedError:
    print("still locked", flush=True)
mesh.close()
"""
    ended = python(code, str(tmp_path / "home"))
    assert (ended.returncode, ended.stdout) == (0, "still locked\n"), ended.stderr


def test_a_child_forked_before_the_first_call_works(tmp_path: Path) -> None:
    code = """
import os, sys
import claudemesh.sync
child = os.fork()
if child == 0:
    with claudemesh.sync.Broker() as broker:
        with claudemesh.sync.up(sys.argv[1], name="alice", broker=broker.url) as mesh:
            mesh.state().set("key", 1)
    sys.exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    ended = python(code, str(tmp_path / "home"))
    assert ended.returncode == 7, ended.stderr
