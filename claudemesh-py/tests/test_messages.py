"""Direct messages, receipts and the feed, for asyncio."""

from pathlib import Path

import claudemesh
import pytest
from claudemesh import api
from conftest import next_of, town


async def test_a_message_arrives_and_is_answered(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        bob = await place.join("bob")
        events = await bob.events()
        sent = await place.owner.send("bob", "The build is green.", priority="now")
        assert (await sent.wait("delivered")).state is api.State.DELIVERED
        arrived = (await next_of(claudemesh.MessageEvent, events)).message
        assert (arrived.body, arrived.from_.name, arrived.priority) == ("The build is green.", "alice", api.Priority.NOW)
        assert arrived.id == sent.id
        answers = await place.owner.events()
        await arrived.reply("thanks")
        answer = (await next_of(claudemesh.MessageEvent, answers)).message
        assert (answer.body, answer.reply_to) == ("thanks", sent.id)


async def test_receipts_come_as_events_and_reading_is_told(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        bob = await place.join("bob")
        receipts = await place.owner.events()
        sent = await place.owner.send(["bob"], "read this")
        await sent.wait()
        (message,) = await bob.inbox(unread=True, wait=10)
        await message.mark_read()
        assert await bob.inbox(unread=True) == []
        await sent.wait(claudemesh.api.State.READ, timeout=20)
        states = []
        while "read" not in states:
            states.append((await next_of(claudemesh.ReceiptEvent, receipts)).state)
        assert states == sorted(states, key=list(api.State).index)
        status = await sent.status()
        assert [recipient.member.name for recipient in status.recipients] == ["bob"]
        assert (await place.owner.message_status(sent.id)).state == status.state


async def test_a_consumer_goes_on_after_what_it_acknowledged(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        bob = await place.join("bob")
        async with bob.events_from("bot"):
            pass
        for text in ("one", "two", "three"):
            await (await place.owner.send("bob", text)).wait()
        async with bob.events_from("bot") as events:
            first = await next_of(claudemesh.MessageEvent, events)
            await next_of(claudemesh.MessageEvent, events)
            await first.ack()
        async with bob.events_from("bot") as events:
            again = await next_of(claudemesh.MessageEvent, events)
        assert (first.message.body, again.message.body) == ("one", "two")
        assert again.position > first.position


async def test_the_same_id_sends_once_and_other_content_is_a_conflict(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        bob = await place.join("bob")
        id = "0198c0de-0000-7000-8000-000000000001"
        for _ in range(2):
            await (await place.owner.send("bob", "once", id=id)).wait()
        with pytest.raises(claudemesh.ConflictError):
            await place.owner.send("bob", "twice", id=id)
        assert [message.body for message in await bob.inbox()] == ["once"]


async def test_everyone_and_groups_are_addressed(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        bob, carol = await place.join("bob"), await place.join("carol")
        await bob.groups().join("backend/api", role="reviewer")
        at_bob, at_carol = await bob.events(), await carol.events()
        await place.owner.send("@backend", "the schema has changed")
        assert (await next_of(claudemesh.MessageEvent, at_bob)).message.body == "the schema has changed"
        await place.owner.send("*", "lunch")
        assert (await next_of(claudemesh.MessageEvent, at_carol)).message.body == "lunch"


async def test_sessions_of_one_device_are_told_apart(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        bob = (await place.join("bob")).with_session("notebook")
        assert bob.session == "notebook"
        await (await place.owner.send("bob/notebook", "for the notebook", ttl=60)).wait()
        (message,) = await bob.inbox(wait=10)
        assert message.session == "notebook"
        await bob.mark_read([message])
        assert await bob.with_session("other").inbox() == []


async def test_a_feed_tells_of_presence_and_members(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        events = await place.owner.events()
        bob = await place.join("bob")
        joined = await next_of(claudemesh.RosterEvent, events)
        assert joined.change == "member_joined" and joined.type == "roster"
        await bob.set_summary("at the parser")
        while (await next_of(claudemesh.PresenceEvent, events)).peer.summary != "at the parser":
            pass


async def test_events_can_be_matched(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        bob = await place.join("bob")
        events = await bob.events()
        await place.owner.send("bob", "hi")
        async for event in events:
            match event:
                case claudemesh.MessageEvent(message):
                    assert message.body == "hi"
                    break
                case claudemesh.PresenceEvent() | claudemesh.RosterEvent():
                    continue
                case other:
                    raise AssertionError(other)
