"""Topics, shared state, memory, tasks, groups, notifications, and the mesh itself."""

import asyncio
from pathlib import Path

import claudemesh
import pytest
from claudemesh import api
from conftest import next_of, town


async def test_a_topic_is_written_followed_and_searched(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        bob = await place.join("bob")
        made = await place.owner.create_topic("deploys", purpose="what goes out", retention=3600, history="all")
        assert (made.name, made.purpose, made.retention) == ("deploys", "what goes out", 3600)
        topic, follows = place.owner.topic("deploys"), bob.topic("#deploys")
        while True:
            try:
                await follows.join()
                break
            except claudemesh.NotFoundError:
                await (await bob.events_from("names")).__anext__()
        async with follows.tail() as posts:
            posted = await topic.post("staging is green, @bob")
            post = await posts.__anext__()
        assert (post.id, post.body, post.mentions[0].name) == (posted.id, "staging is green, @bob", "bob")
        await follows.post("thanks", reply_to=post.id)
        async for reply in topic.tail(after=post.at):
            assert reply.reply_to == post.id
            break
        thread = await topic.history(thread=post.id)
        assert [each.body for each in thread.posts] == ["staging is green, @bob", "thanks"]
        assert (await topic.resolve(post.id)).resolved and not (await topic.reopen(post.id)).resolved
        (hit,) = await follows.search("stag*")
        assert hit.post.id == post.id and "[staging]" in hit.snippet
        assert (await place.owner.search("thanks", topic="deploys", limit=5))[0].post.body == "thanks"
        assert (await follows.mark_read(post.at)).unread == 0
        assert {member.member.name for member in await topic.members()} == {"alice", "bob"}
        assert (await topic.set_retention(None)).retention is None
        names = [each.name for each in await bob.topics()]
        assert names == ["general", "deploys"]
        await follows.leave()


async def test_a_private_topic_is_for_its_members(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        bob, carol = await place.join("bob"), await place.join("carol")
        made = await place.owner.create_topic("plans", private=True, members=["bob"])
        assert made.private and made.role is api.TopicRole.LEAD
        topic = place.owner.topic("plans")
        roles = {member.member.name: member.role for member in await topic.set_member("bob", "observer")}
        assert roles == {"alice": "lead", "bob": "observer"}
        assert [member.member.name for member in await topic.remove_member("bob")] == ["alice"]
        with pytest.raises(claudemesh.NotFoundError):
            await carol.topic("plans").join()
        del bob


async def test_state_is_set_compared_and_watched(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        state = place.owner.state()
        values: list[api.Json] = [None, True, 3, -(2**63), 2**64 - 1, 1.5, "text", [1, [2]], {"a": {"b": []}}]
        for value in values:
            await state.set("key", value)
            assert await state.get("key") == value
        before = await state.set("replicas", 3, ttl=600)
        assert before.expires_at is not None and before.by.name == "alice"
        async with state.watch("rep", after=before.version) as changes:
            changed = await state.compare_and_set("replicas", before.version, 4)
            assert (await changes.__anext__()).value == 4
        with pytest.raises(claudemesh.ConflictError):
            await state.compare_and_set("replicas", before.version, 5)
        id = "0198c0de-0000-7000-8000-000000000002"
        first = await state.set("builds", 1, request_id=id)
        assert (await state.set("builds", 1, request_id=id)).version == first.version
        assert [entry.key for entry in await state.list("b")] == ["builds"]
        assert (await state.entry("builds")).value == 1
        assert (await state.compare_and_delete("replicas", changed.version)).deleted
        await state.delete("builds")
        with pytest.raises(claudemesh.NotFoundError):
            await state.get("builds")
        assert (await state.compare_and_set("new", None, 1)).key == "new"
        async for entry in state.watch("new", with_current=True):
            assert entry.value == 1
            break


async def test_memory_is_recalled_and_forgotten(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        memory = place.owner.memory()
        kept = await memory.remember("staging runs PostgreSQL 17", tags=["infra", "db"])
        await memory.remember("lunch is at noon")
        (found,) = await memory.recall("postgres*", tags=["infra"], limit=5)
        assert (found.id, found.tags) == (kept.id, ["infra", "db"])
        assert (await memory.forget(kept.id)).text == kept.text
        assert [each.text for each in await memory.recall()] == ["lunch is at noon"]


async def test_a_task_is_claimed_by_one(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        tasks = place.owner.tasks()
        build = await tasks.create("build the image", body="for staging")
        deploy = await tasks.create("deploy it", depends_on=[build.id], assignee="alice")
        assert [task.state for task in await tasks.list()] == [api.TaskState.OPEN, api.TaskState.BLOCKED]
        claimed = await tasks.claim(build.id)
        assert isinstance(claimed, api.Task) and claimed.claimed_by == build.by
        with pytest.raises(claudemesh.ConflictError):
            await tasks.claim(build.id)
        assert (await claimed.complete("image 4f2a")).result == "image 4f2a"
        with pytest.raises(claudemesh.ConflictError):
            await claimed.release()
        again = await tasks.claim(deploy.id, request_id="0198c0de-0000-7000-8000-000000000003")
        assert (await again.release()).state == "open"
        await tasks.claim(deploy.id)
        assert (await tasks.release(deploy.id)).session is None
        await tasks.claim(deploy.id)
        assert (await tasks.complete(deploy.id)).state == "done"
        assert (await tasks.show(deploy.id)).depends_on == [build.id]
        assert await tasks.list(state="open", member="alice", limit=3) == []


async def test_groups_and_notifications(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        bob = await place.join("bob")
        events = await bob.events()
        await place.owner.topic("general").post("look, @bob")
        told = (await next_of(claudemesh.NotificationEvent, events)).notification
        assert (told.kind, told.from_.name, told.topic) == ("mention", "alice", "general")
        notifications = bob.notifications()
        assert [each.id for each in await notifications.list(limit=3)] == [told.id]
        assert await notifications.mark_read([]) == 0
        assert await notifications.mark_read([told.id]) == 1
        assert await notifications.mark_all_read() == 0
        assert [each.read for each in await notifications.list(all=True)] == [True]
        groups = place.owner.groups()
        assert (await groups.join("backend", member="bob")).members[0].member.name == "bob"
        assert [each.group for each in await groups.list("backend")] == ["backend"]
        assert (await groups.leave("backend", member="bob")).members == []
        assert await groups.list() == []


async def test_a_topic_has_state_memory_and_tasks_of_its_own(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        topic = place.owner.topic("general")
        assert (await topic.state().set("key", 1)).topic == "general"
        assert (await topic.memory().remember("a text")).topic == "general"
        assert (await topic.tasks().create("a task")).topic == "general"
        assert await place.owner.state().list() == []


async def test_members_invites_and_status(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        owner, bob = place.owner, await place.join("bob")
        assert owner.reply is not None and owner.reply.created and owner.reply.recovery_key
        assert (owner.is_embedded, owner.label, owner.session) == (True, owner.reply.mesh.label, None)
        assert (await owner.whoami()).mesh.id == owner.id == bob.id
        members = {member.name: member for member in await owner.members()}
        assert members["bob"].kind == "service" and members["bob"].safety_number
        assert members["alice"].safety_number is None
        peers = {peer.name: peer for peer in await owner.peers()}
        assert peers["alice"].own and not peers["bob"].own
        assert (await owner.set_status("working")).status is api.Activity.WORKING
        invite = await owner.invite(uses=2, expires_in=3600, role="member", name_hint="dora")
        assert (invite.uses, invite.state) == (2, "open")
        assert (await owner.revoke_invite(invite.id[:8])).state == "closed"
        assert invite.id in {each.id for each in await owner.invites()}
        changed = (await owner.set_role("bob", "admin")).member
        assert changed is not None and changed.role == "admin"
        assert (await owner.remove_member("bob")).member.live is False  # type: ignore[union-attr]
        status = await owner.status()
        assert [mesh.mesh.id for mesh in status.meshes] == [owner.id]
        assert [mesh.label for mesh in await owner.meshes()] == [owner.label]
        assert (await owner.rename("renamed")).label == "renamed"
        assert (await (await owner.other("renamed")).whoami()).member.name == "alice"
        assert await owner.compact() >= 0


async def test_templates_are_applied(tmp_path: Path) -> None:
    assert "dev-team" in claudemesh.templates()
    async with town(tmp_path) as place:
        applied = await place.owner.apply_template("dev-team")
        assert applied.complete and applied.topics


async def test_a_mesh_is_left_and_deleted(tmp_path: Path) -> None:
    async with town(tmp_path) as place:
        async with claudemesh.join(place.link, tmp_path / "bob", name="bob", label="ours") as bob:
            assert bob.label == "ours" or bob.id == place.owner.id
            assert (await bob.leave()).state == "left"
        with pytest.raises(claudemesh.RefusedError):
            await place.owner.leave()
        assert (await place.owner.delete()).state == "closed"
        await asyncio.wait_for(place.owner.shutdown(), 10)
