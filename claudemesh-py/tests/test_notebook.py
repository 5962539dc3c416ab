"""In a real Jupyter kernel: with `await` at the top of a cell, and without asyncio inside the kernel's loop."""

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

CELLS = [
    "import claudemesh, claudemesh.sync, sys, pathlib",
    # Asyncio: the kernel's own loop.
    "broker = await claudemesh.Broker().start()\n"
    "alice = await claudemesh.up('HOME', name='alice', broker=broker.url)\n"
    "link = (await alice.invite()).link\n"
    "bob = await claudemesh.join_in_memory(link, name='bob')\n"
    "events = await bob.events()\n"
    "await (await alice.send('bob', '<b>hi</b>')).wait('delivered')",
    "async for event in events:\n"
    "    if isinstance(event, claudemesh.MessageEvent):\n"
    "        break\n"
    "event.message",
    "await alice.peers()",
    "await alice.topics()",
    # The same kernel, whose loop is running, without asyncio.
    "await alice.close()\n"
    "again = claudemesh.sync.open('HOME')\n"
    "again.send('bob', 'from a cell').wait('delivered')\n"
    "print(again.whoami().member.name)",
    "again.close()\nawait bob.close()\nawait broker.close()",
]


def test_a_notebook_runs(tmp_path: Path) -> None:
    make: Any = nbformat.v4
    notebook = make.new_notebook()
    home = str(tmp_path / "alice")
    notebook.cells = [make.new_code_cell(cell.replace("HOME", home)) for cell in CELLS]
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [cell.outputs for cell in notebook.cells]
    message, peers, topics = (outputs[0].data["text/html"] for outputs in shown[2:5])
    assert "&lt;b&gt;hi&lt;/b&gt;" in message and "<b>" not in message
    assert "alice" in peers and "bob" in peers and "<table>" in peers
    assert "general" in topics
    assert shown[5][0].text == "alice\n"
