"""What is wrong is answered with the right exception, and a text that helps."""

import asyncio
import builtins
import math
import pickle
from datetime import timedelta
from pathlib import Path
from typing import Any

import claudemesh
import claudemesh.sync
import pytest
from claudemesh import _claudemesh, _errors
from conftest import town


def test_every_kind_has_one_exception() -> None:
    kinds = _claudemesh.error_kinds()
    assert {code for code, _, _ in kinds} == set(_errors.BY_CODE)
    for code, exit_code, is_retryable in kinds:
        exception = _errors.BY_CODE[code]
        assert (exception.code, exception.exit_code, exception.is_retryable) == (code, exit_code, is_retryable)
        assert exception.__name__.removesuffix("Error").lower() == code.replace("_", "")
        assert getattr(claudemesh, exception.__name__) is exception
        assert exception.__doc__


def test_exceptions_are_those_of_python_too_where_there_are_such() -> None:
    assert issubclass(claudemesh.TimeoutError, builtins.TimeoutError)
    assert issubclass(claudemesh.UnreachableError, ConnectionError)
    assert issubclass(claudemesh.UsageError, ValueError)
    assert issubclass(claudemesh.NotFoundError, LookupError)


def test_exceptions_survive_pickling() -> None:
    for kind in _errors.BY_CODE.values():
        again = pickle.loads(pickle.dumps(kind("what happened", "what to do")))
        assert (type(again), str(again), again.hint) == (kind, "what happened", "what to do")


async def test_an_unknown_name_says_what_to_do(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        await place.join("bob")
        with pytest.raises(claudemesh.NotFoundError) as caught:
            await place.owner.send("bbo", "hi")
        assert "bbo" in str(caught.value) and "bob" in (caught.value.hint or "")
        assert f"hint: {caught.value.hint}" in caught.value.__notes__


WRONG_TYPES: list[Any] = [
    lambda mesh: mesh.send(1, "text"),
    lambda mesh: mesh.send(["bob", 1], "text"),
    lambda mesh: mesh.send("bob", b"bytes"),
    lambda mesh: mesh.send("bob", None),
    lambda mesh: mesh.send("bob", "text", ttl="soon"),
    lambda mesh: mesh.send("bob", "text", ttl=True),
    lambda mesh: mesh.inbox(limit="all"),
    lambda mesh: mesh.state().set("key", {1: "number as key"}),
    lambda mesh: mesh.state().set("key", {"a set": {1}}),
    lambda mesh: mesh.state().set("key", b"bytes"),
    lambda mesh: mesh.memory().remember("text", tags="infra"),
    lambda mesh: mesh.tasks().create("title", depends_on="id"),
    lambda mesh: mesh.create_topic("topic", members="bob"),
    lambda mesh: mesh.notifications().mark_read("id"),
]


@pytest.mark.parametrize("call", WRONG_TYPES)
async def test_wrong_types_are_type_errors(tmp_path: Path, call: Any) -> None:
    async with town(tmp_path) as place:
        with pytest.raises(TypeError) as caught:
            await call(place.owner)
        assert str(caught.value)


NESTED: Any = []
for _ in range(200):
    NESTED = [NESTED]
WRONG_VALUES: list[Any] = [
    lambda mesh: mesh.send("bob", ""),
    lambda mesh: mesh.send("", "text"),
    lambda mesh: mesh.send([], "text"),
    lambda mesh: mesh.send("bob", "text", priority="soon"),
    lambda mesh: mesh.send("bob", "text", id="no uuid"),
    lambda mesh: mesh.send("bob", "x" * 200_000),
    lambda mesh: mesh.send("bob", "text", ttl=-1),
    lambda mesh: mesh.send("bob", "text", ttl=math.nan),
    lambda mesh: mesh.send("bob", "text", ttl=timedelta(days=-1)),
    lambda mesh: mesh.set_status("asleep"),
    lambda mesh: mesh.set_summary("x" * 100_000),
    lambda mesh: mesh.state().set("", 1),
    lambda mesh: mesh.state().set("key", math.inf),
    lambda mesh: mesh.state().set("key", NESTED),
    lambda mesh: mesh.topic("general").set_retention(0),
    lambda mesh: mesh.topic("general").history(after="no place"),
    lambda mesh: mesh.topic("general").set_member("bob", "king"),
    lambda mesh: mesh.search('"'),
    lambda mesh: mesh.apply_template("no such"),
]


@pytest.mark.parametrize("call", WRONG_VALUES)
async def test_wrong_values_are_usage_errors(tmp_path: Path, call: Any) -> None:
    async with town(tmp_path) as place:
        await place.join("bob")
        with pytest.raises(claudemesh.UsageError) as caught:
            await call(place.owner)
        assert caught.value.exit_code == 2 and str(caught.value)
        await place.owner.whoami()


async def test_numbers_that_json_does_not_have_are_refused_not_rounded(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        with pytest.raises(OverflowError):
            await place.owner.state().set("key", 2**64)
        with pytest.raises(OverflowError):
            await place.owner.inbox(limit=-1)


async def test_a_closed_mesh_says_so(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        bob = await place.join("bob")
        (await place.owner.send("bob", "hi"))
        (message,) = await bob.inbox(wait=20)
        handles = bob.topic("general"), bob.state(), bob.tasks()
        waiting = asyncio.create_task(bob.events().__anext__())
        await bob.whoami()
        await bob.close()
        await bob.close()
        assert bob.is_closed and repr(bob) == "<Mesh, closed>"
        for call in (
            bob.whoami,
            lambda: bob.send("alice", "hi"),
            handles[0].members,
            lambda: handles[1].get("key"),
            handles[2].list,
            lambda: message.reply("late"),
            lambda: bob.events().open(),
        ):
            with pytest.raises(claudemesh.UsageError, match="was closed"):
                await call()
        with pytest.raises((StopAsyncIteration, claudemesh.UsageError)):
            await waiting


async def test_streams_end_when_the_mesh_is_closed(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        bob = await place.join("bob")
        streams = [await bob.events(), await bob.topic("general").tail(), await bob.state().watch()]
        ends = [asyncio.create_task(drained(stream)) for stream in streams]
        await asyncio.sleep(0)
        await bob.close()
        await asyncio.wait_for(asyncio.gather(*ends), 10)


async def drained(stream: Any) -> None:
    async for _ in stream:
        pass


async def test_a_stream_that_was_closed_is_over(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        events = await place.owner.events()
        await events.close()
        assert [event async for event in events] == []
        with pytest.raises(RuntimeError, match="over"):
            await events.open()


async def test_two_programs_cannot_open_one_home(tmp_path: Path) -> None:
    async with town(tmp_path):
        with pytest.raises(claudemesh.LockedError) as caught:
            await claudemesh.open(tmp_path / "alice")
        assert str(tmp_path / "alice") in str(caught.value) + (caught.value.hint or "")


async def test_a_home_is_given_back_when_it_is_closed(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        await place.owner.close()
        async with claudemesh.open(tmp_path / "alice", backend="embedded") as again:
            assert again.id == (await again.whoami()).mesh.id


BAD_LINKS = ["", "no link", "http://127.0.0.1:1/i", "http://127.0.0.1:1/i#AAAA", "https://example.invalid/"]


@pytest.mark.parametrize("link", BAD_LINKS)
async def test_a_text_that_is_no_link_is_a_usage_error(link: str) -> None:
    with pytest.raises(claudemesh.UsageError):
        await claudemesh.join_in_memory(link, name="bob")


async def test_a_used_link_is_expired_or_refused(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        link = (await place.owner.invite()).link
        assert link is not None
        async with claudemesh.join_in_memory(link, name="bob"):
            with pytest.raises((claudemesh.ExpiredError, claudemesh.RefusedError)):
                await claudemesh.join_in_memory(link, name="carol")


async def test_a_broker_that_is_gone_is_unreachable(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        await place.broker.close()
        with pytest.raises(claudemesh.UnreachableError):
            await claudemesh.join_in_memory(place.link, name="bob")
        with pytest.raises(claudemesh.UnreachableError):
            await place.owner.create_topic("deploys")


async def test_a_home_without_a_mesh_or_a_daemon(tmp_path: Path) -> None:
    with pytest.raises(claudemesh.NotFoundError):
        await claudemesh.open(tmp_path / "empty")
    with pytest.raises(claudemesh.UnreachableError):
        await claudemesh.open(tmp_path / "empty", backend="attach")
    with pytest.raises(claudemesh.UsageError, match="backend"):
        await claudemesh.open(tmp_path / "empty", backend="telepathy")  # type: ignore[arg-type]


async def test_a_message_that_is_not_delivered_times_out_and_stays(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        bob = await place.join("bob")
        await bob.close()
        sent = await place.owner.send("bob", "later")
        with pytest.raises(claudemesh.TimeoutError) as caught:
            await sent.wait("delivered", timeout=0.05)
        assert caught.value.is_retryable and caught.value.hint
        with pytest.raises(claudemesh.UsageError):
            await sent.wait("refused")  # type: ignore[arg-type]


async def test_brokers_that_cannot_start(tmp_path: Path) -> None:
    async with claudemesh.Broker(tmp_path / "broker") as broker:
        address = broker.url.removeprefix("ws://")
        with pytest.raises(claudemesh.ConflictError):
            await claudemesh.Broker(listen=address).start()
        with pytest.raises(claudemesh.LockedError):
            await claudemesh.Broker(tmp_path / "broker").start()
    with pytest.raises(claudemesh.UsageError):
        await claudemesh.Broker(listen="nowhere").start()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = broker.url
