"""A PgBouncer on the virtual clock, between pools and a server."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from itertools import count

from scenarios.world import Action, FullError, Server, Session

_RETRY = 1.0
"""Seconds until it tries again to connect to a server that has refused it."""


@dataclass(slots=True, eq=False)
class BouncerClient(Session):
    """A client, which is to its pool what a session of the server is without a bouncer."""

    bouncer: Bouncer = field(kw_only=True)
    port: int = field(kw_only=True)
    backend: Session | None = None
    """Its connection to the server."""
    sent: float = 0.0
    """When its last packet came."""
    request: float | None = None
    """Since when it waits for an answer."""
    asked: float | None = None
    """When it sent the first request of its transaction."""

    def become(self, state: str, now: float) -> None:
        """Its session on the server becomes the same."""
        Session.become(self, state, now)
        if self.backend is not None:
            self.backend.become(state, now)
        if state == "active":
            return
        self.request = None
        if state == "idle":
            self.bouncer.ended(self)


class Bouncer(Server):
    """One database; a pool of at most `size` connections to the server for each role.

    In the mode `session` a client keeps its connection, in `transaction` until its transaction
    ends. What is `paused` gives nobody a connection, what is not `reachable` gets none.
    """

    def __init__(
        self, server: Server, *, mode: str = "transaction", size: int = 20, most_clients: int = 100
    ) -> None:
        super().__init__(server.world)
        self.server, self.mode, self.size, self.most_clients = server, mode, size, most_clients
        self.paused = False
        self.reachable = True
        self.clients: dict[int, BouncerClient] = {}
        """By port."""
        self.idle: dict[str, list[Session]] = {}
        """Connections without a client, by role."""
        self.waiting: dict[str, deque[tuple[BouncerClient, Action]]] = {}
        """Clients that want a connection, by role, and how they go on."""
        self.refused: Counter[str] = Counter()
        """Attempts to connect that the server refuses now, by role."""
        self.counts: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._ports = count(40_000)
        self.world.every(_RETRY, self.assign)

    def connect(self, application: str, address: str = "", user: str = "") -> Session:
        """A new client. Raises `FullError` where there are as many as there may be."""
        if len(self.clients) >= self.most_clients:
            raise FullError
        now, port = self.world.now, next(self._ports)
        self.counts["logins"] += 1
        client = self.clients[port] = BouncerClient(
            application, user or application, now, changed=now, address=address, sent=now,
            bouncer=self, port=port,
        )  # fmt: skip
        return client

    def close(self, session: Session) -> None:
        """The client leaves; its connection stays, unless it is in a transaction."""
        assert isinstance(session, BouncerClient)
        self.clients.pop(session.port, None)
        queue = self.waiting.get(session.user, deque())
        for one in [one for one in queue if one[0] is session]:
            queue.remove(one)
        if session.backend is not None and session.state == "idle":
            self._give_back(session)
        elif session.backend is not None:
            self.server.close(session.backend)
        self.assign()

    def begin(self, session: Session, then: Action) -> None:
        """Go on when the client has a connection."""
        assert isinstance(session, BouncerClient)
        now = self.world.now
        session.sent = session.request = now
        if session.asked is None:
            session.asked = now
        if session.backend is not None:
            then()
            return
        self.waiting.setdefault(session.user, deque()).append((session, then))
        self.assign()

    def ended(self, client: BouncerClient) -> None:
        """Its transaction has ended."""
        if client.asked is not None:
            self.counts["transactions"] += 1
            self.seconds["transactions"] += self.world.now - client.asked
            client.asked = None
        if client.backend is not None and self.mode != "session":
            self._give_back(client)
            self.assign()

    @property
    def users(self) -> set[str]:
        """The roles that have clients or connections."""
        return {one.user for one in self.clients.values()} | self.idle.keys()

    def held(self, user: str) -> list[BouncerClient]:
        """The role's clients that have a connection."""
        return [
            one for one in self.clients.values() if one.user == user and one.backend is not None
        ]

    def assign(self) -> None:
        """Give connections to those that wait for one, the first ones first."""
        for user, queue in self.waiting.items():
            self.refused[user] = 0
            while queue and not self.paused and (backend := self._connection(user)) is not None:
                client, then = queue.popleft()
                assert client.request is not None
                self.seconds["waits"] += self.world.now - client.request
                client.backend, backend.application = backend, client.application
                then()

    def _connection(self, user: str) -> Session | None:
        idle = self.idle.setdefault(user, [])
        if idle:
            return idle.pop()
        if len(self.held(user)) >= self.size:
            return None
        try:
            if not self.reachable:
                raise FullError
            return self.server.connect("", "192.0.2.9", user)
        except FullError:
            self.refused[user] = 1
            return None

    def _give_back(self, client: BouncerClient) -> None:
        assert client.backend is not None
        self.idle.setdefault(client.user, []).append(client.backend)
        client.backend = None
