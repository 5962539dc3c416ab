"""What notebooks show: tables, in which texts of others stay texts."""

import json
import pickle
from typing import Any

import claudemesh
from claudemesh import api, sync
from claudemesh._record import Records

HOSTILE = "<script>alert('x')</script>\n\"quoted\" & more"


def post(body: str) -> api.Post:
    author = api.From(member="00", name=HOSTILE, session="main")
    return api.Post(
        id="1", topic="general", at="1.0", from_=author, body=body, sent_at="now", reply_to=None, mentions=[]
    )


def test_texts_of_others_are_escaped() -> None:
    for shown in (post(HOSTILE)._repr_html_(), Records([post(HOSTILE)])._repr_html_()):
        assert "<script" not in shown
        assert "&lt;script&gt;" in shown and "&quot;quoted&quot; &amp; more" in shown


def test_a_list_is_a_table_with_a_row_for_each() -> None:
    shown = Records([post("one"), post("two")])._repr_html_()
    assert shown.count("<tr>") == 3 and "<th>from</th>" in shown
    assert Records([])._repr_html_() == "<i>none</i>"
    assert isinstance(Records([1]), list)


def test_long_texts_are_cut() -> None:
    assert len(post("x" * 100_000)._repr_html_()) < 10_000


def test_records_compare_by_their_fields_and_cannot_be_changed() -> None:
    assert post("one") == post("one") != post("two")
    try:
        post("one").body = "two"  # type: ignore[misc]
    except AttributeError:
        pass
    else:
        raise AssertionError("it was changed")


def test_records_become_what_json_has() -> None:
    written = post("one").as_dict()
    assert written["from"] == {"member": "00", "name": HOSTILE, "session": "main"} and written["mentions"] == []
    assert json.loads(json.dumps(written)) == written
    assert pickle.loads(pickle.dumps(post("one"))) == post("one")


def test_a_record_is_made_of_all_its_fields() -> None:
    assert api.MemberRef("00", name="bob") == api.MemberRef("00", "bob")
    assert len({api.MemberRef("00", "bob"), api.MemberRef("00", "bob")}) == 1
    wrong: list[Any] = [(["00"], {}), (["00", "bob", "x"], {}), (["00"], {"name": "bob", "more": 1})]
    for values, named in wrong:
        try:
            api.MemberRef(*values, **named)
        except TypeError as error:
            assert "id, name" in str(error)
        else:
            raise AssertionError("it was made")


def test_received_messages_are_messages_in_both_ways() -> None:
    assert issubclass(claudemesh.Received, api.Message) and issubclass(sync.Received, api.Message)
    assert issubclass(claudemesh.ClaimedTask, api.Task)
