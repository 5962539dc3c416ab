"""The ways to a mesh."""

from __future__ import annotations

# async only
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any

# end
from ._mesh import Mesh, join_mesh, join_mesh_in_memory, mesh_up, open_mesh
from ._types import Backend, Home


# async only
class Opening:
    """A mesh that is about to be opened: by `await`, or by `async with`, which closes it at its end."""

    __slots__ = ("_mesh", "_opening")

    def __init__(self, opening: Coroutine[Any, Any, Mesh]) -> None:
        self._opening = opening
        self._mesh: Mesh | None = None

    def __await__(self) -> Generator[Any, Any, Mesh]:
        return self._opening.__await__()

    async def __aenter__(self) -> Mesh:
        self._mesh = await self._opening
        return self._mesh

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mesh is not None:
            await self._mesh.close()


# end
def open(
    home: Home | None = None,
    *,
    mesh: str | None = None,
    session: str | None = None,
    backend: Backend | None = None,
) -> Opening:
    """Opens a mesh of a home: the one named, else the one selected with `mesh use`, or the only one.

    The home is a folder, else `CLAUDEMESH_HOME`, else the XDG folders. Its daemon is used when it answers, and the
    client is embedded in this process otherwise; `backend` insists on one of them. The session is `CLAUDEMESH_SESSION`,
    else `main`, unless told otherwise.

    Raises NotFoundError or AmbiguousError when no mesh or none alone is meant, UnreachableError when the daemon is
    required and does not answer, LockedError when another program holds the home or this one does already, CorruptError
    or UnwritableError when it cannot be used.
    """
    return Opening(open_mesh(home, mesh=mesh, session=session, backend=backend))


def join(
    link: str,
    home: Home | None = None,
    *,
    name: str | None = None,
    label: str | None = None,
    insecure_ws: bool = False,
    session: str | None = None,
    backend: Backend | None = None,
) -> Opening:
    """Joins a mesh by the link of an invite, and opens it.

    Without a name the invite's proposal is taken; `label` names the mesh in this home when its own label is taken here.
    `insecure_ws` permits `ws://` to a host that is not this one.

    Raises as `open`; UsageError for a text that is no link, ExpiredError or RefusedError for the invite,
    UnreachableError for the broker.
    """
    opening = join_mesh(
        link, home, name=name, label=label, insecure_ws=insecure_ws, session=session, backend=backend
    )
    return Opening(opening)


def join_in_memory(
    link: str, *, name: str | None = None, session: str | None = None, insecure_ws: bool = False
) -> Opening:
    """Joins a mesh by link as a member that lives in this process only: keys and messages end with it.

    Raises as `join`.
    """
    return Opening(join_mesh_in_memory(link, name=name, session=session, insecure_ws=insecure_ws))


def up(
    home: Home | None = None,
    *,
    name: str | None = None,
    mesh: str | None = None,
    broker: str | None = None,
    listen: str | None = None,
    advertise: str | None = None,
    insecure_ws: bool = False,
    session: str | None = None,
    backend: Backend | None = None,
) -> Opening:
    """Creates or resumes a mesh of a home, and opens it; `Mesh.reply` holds what is shown once.

    A new mesh has its broker at the address `broker`, such as `Broker.url`. Without one the home's daemon hosts it,
    which listens on `listen` and is known to others as `advertise`; this process alone hosts none for a home.

    Raises as `open`; UsageError without a name for a new member, or without a broker.
    """
    opening = mesh_up(
        home,
        name=name,
        mesh=mesh,
        broker=broker,
        listen=listen,
        advertise=advertise,
        insecure_ws=insecure_ws,
        session=session,
        backend=backend,
    )
    return Opening(opening)
