"""Open connections by client, with an upper limit for each client and for all: who holds many idle ones loses the oldest.

Nobody is turned away for somebody else's connections, a health check least of all: a new connection makes room for itself
where any of the same client's (or, over the limit of all, of the client with the most) is idle.
"""

from collections import OrderedDict
from typing import Protocol

PER_CLIENT = 256
IN_ALL = 1024


class Connection(Protocol):
    """What the table asks of a connection."""

    def is_idle(self) -> bool:
        """Whether no request is being answered."""

    def close(self) -> None:
        """Close it at once."""


class ConnectionTable:
    """The connections of one server, each client's in the order in which they were last used."""

    def __init__(self, *, per_client: int = PER_CLIENT, in_all: int = IN_ALL) -> None:
        self._per_client = per_client
        self._in_all = in_all
        self._of: dict[str, OrderedDict[Connection, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, connection: Connection, client: str) -> bool:
        """Enter a connection, and close an idle one where there are too many; False where none is: it may not stay."""
        own = self._of.setdefault(client, OrderedDict())
        own[connection] = None
        self._count += 1
        if len(own) > self._per_client:
            return self._make_room(client, besides=connection)
        if self._count > self._in_all:
            return self._make_room(max(self._of, key=lambda name: len(self._of[name])), besides=connection)
        return True

    def touch(self, connection: Connection, client: str) -> None:
        """Note that a connection is used."""
        if connection in self._of.get(client, ()):
            self._of[client].move_to_end(connection)

    def remove(self, connection: Connection, client: str) -> None:
        """Forget a connection that was closed; a second call does nothing."""
        own = self._of.get(client, OrderedDict())
        if connection in own:
            del own[connection]
            self._count -= 1
            if not own:
                del self._of[client]

    def _make_room(self, client: str, *, besides: Connection) -> bool:
        """Close the client's longest unused idle connection; False where it has none."""
        idle = next((one for one in self._of[client] if one is not besides and one.is_idle()), None)
        if idle is None:
            return False
        self.remove(idle, client)
        idle.close()
        return True
