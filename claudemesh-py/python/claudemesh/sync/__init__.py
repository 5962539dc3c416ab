"""claudemesh without asyncio: the same calls, which return when they are done.

    with claudemesh.sync.open() as mesh:
        mesh.send("bob", "The build is green.").wait("delivered")

For scripts, threads and notebooks: it works inside a running event loop, too, which then stands still during a call.
Other threads run meanwhile, and Ctrl-C ends a call that waits. Exceptions and data types are those of `claudemesh`.
"""

from ._broker import Broker
from ._mesh import Mesh
from ._message import (
    Delivered,
    Event,
    Events,
    LaggedEvent,
    MessageEvent,
    NotificationEvent,
    PostEvent,
    PresenceEvent,
    ReceiptEvent,
    Received,
    RosterEvent,
    SentMessage,
    UnknownEvent,
)
from ._opening import join, join_in_memory, open, up
from ._shared import (
    Changes,
    ClaimedTask,
    Groups,
    Notifications,
    SharedMemory,
    SharedState,
    Tasks,
)
from ._stream import Feed
from ._topic import Tail, Topic

__all__ = [
    "Broker",
    "Changes",
    "ClaimedTask",
    "Delivered",
    "Event",
    "Events",
    "Feed",
    "Groups",
    "LaggedEvent",
    "Mesh",
    "MessageEvent",
    "NotificationEvent",
    "Notifications",
    "PostEvent",
    "PresenceEvent",
    "ReceiptEvent",
    "Received",
    "RosterEvent",
    "SentMessage",
    "SharedMemory",
    "SharedState",
    "Tail",
    "Tasks",
    "Topic",
    "UnknownEvent",
    "join",
    "join_in_memory",
    "open",
    "up",
]
