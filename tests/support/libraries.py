"""Pool libraries of other languages, and what each shows of what is true."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType

SIZE = 5
"""Most connections of the pool in each application."""


@dataclass
class Truth:
    """What was done to a pool, and what must therefore be seen. Most fields are `PoolSample`'s."""

    idle: int = 0
    active: int = 0
    waiting: int = 0
    requests: int = 0
    acquired: int = 0
    returned: int = 0
    queued: int = 0
    connects: int = 0
    timeouts: int = 0
    max: int = SIZE
    min: int = 0
    queued_with_success: int = 0
    """Of `queued`, those that got a connection."""
    returned_last: bool = False
    """Whether nothing has happened since a connection went back into the pool."""


@dataclass(frozen=True, kw_only=True)
class Library:
    """A pool library, and by what it shows its pools."""

    toolchain: str
    """Its command, and the marker of its tests: `node`, `java` or `go`."""
    directory: str
    """Where its application is, below `tests/clients`."""
    built: str
    """What is there once the application has been built."""
    command: tuple[str, ...]
    """Starts the application there; `{port}` is where it shall serve its page."""
    format: str
    """The format of its page, as in the configuration."""
    pool: str = "main"
    """How it names its pool; `{server}` is the server's address."""
    shows: tuple[str, ...]
    """Fields of `PoolSample` that it knows exactly. It knows no others but those below."""
    differs: Mapping[str, Callable[[Truth], float]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """Fields of which it shows something else than the truth."""
    times: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    """Sums of seconds that it knows, and whether requests that failed are in them."""
    apart: tuple[str, ...] = ()
    """Fields that it knows and that have tests of their own."""
    timeout_kinds: tuple[str, ...] = ("pool",)
    path: str = "/metrics"
    """Of its page."""
    shown_unused: bool = True
    """Whether the pool is on the page before it is used."""
    recognised: bool = True
    """Whether `format: auto` finds it."""
    with_recipe: bool = True
    """Whether a recipe shows it. Others are started once, to see that their page is read right."""
    with_another: bool = False
    """Whether its page has the pool of another library, too."""
    fills: bool = False
    """Whether the pool opens all its connections at the start."""

    @property
    def loosest_format(self) -> str:
        """`auto`, or its format where that has to be named."""
        return "auto" if self.recognised else self.format

    def truth(self) -> Truth:
        """What is true of the pool before anything is done to it."""
        return Truth(idle=SIZE, connects=SIZE, min=SIZE) if self.fills else Truth()


_node = partial(Library, toolchain="node", directory="node", built="node_modules")
_pools = partial(Library, toolchain="java", directory="java/pools", built="target/lib")
_others = partial(_pools, with_recipe=False)
_quarkus = partial(
    Library,
    toolchain="java",
    directory="java/quarkus",
    built="target/quarkus-app",
    with_recipe=False,
    with_another=True,
)
_go = partial(Library, toolchain="go", directory="go", built="build/app")

_GAUGES = ("idle", "active", "max")
_HIKARI = (*_GAUGES, "min", "waiting", "timeouts", "returned")
# Requests that failed are among those that have been answered.
_WITH_FAILURES = {"acquired": lambda truth: truth.acquired + truth.timeouts}
_HIKARI_DIFFERS = {
    **_WITH_FAILURES,
    # The first connection is opened before it begins to count.
    "connects": lambda truth: truth.connects - 1,
}
_HIKARI_TIMES = {"acquire_wait": True, "held": False}
_PGX_DIFFERS = {
    # Counted when they have a connection, be it one that was opened for them.
    "queued": lambda truth: truth.connects + truth.queued_with_success,
}
# Compiled once, not again and better: they live for some seconds.
_JVM = ("java", "-XX:TieredStopAtLevel=1")
_CLASSES = ("-cp", "target/classes:target/lib/*")
_JAVA = (*_JVM, *_CLASSES)
_JOLOKIA = (
    "-javaagent:target/lib/jolokia-agent-jvm-2.2.9-javaagent.jar="
    "host=127.0.0.1,port={port},policyLocation=file:jolokia-access.xml"
)

_AGENT = (
    *_JVM,
    "-javaagent:target/lib/opentelemetry-javaagent-2.31.1.jar",
    "-Dotel.metrics.exporter=prometheus",
    "-Dotel.exporter.prometheus.host=127.0.0.1",
    "-Dotel.exporter.prometheus.port={port}",
    "-Dotel.traces.exporter=none",
    "-Dotel.logs.exporter=none",
    # Those of pools alone, because each takes its time at the start.
    "-Dotel.instrumentation.common.default-enabled=false",
    *(
        f"-Dotel.instrumentation.{name}.enabled=true"
        for name in ("apache-dbcp", "c3p0", "hikaricp", "tomcat-jdbc")
    ),
)
_OF_NEWER_NAMES = "-Dotel.semconv-stability.opt-in=database"

# Our own clients. What needs more than counting has tests of its own.
_CLIENT = (
    *_GAUGES, "min", "waiting", "timeouts", "requests", "queued", "acquired", "returned",
    "connects",
)  # fmt: skip
_CLIENT_TIMES = {"acquire_wait": False, "held": False}
_CLIENT_APART = (
    "active_seconds", "saturated_seconds", "oldest_active", "oldest_idle", "oldest_waiting",
    "acquire", "hold", "demand", "connect_errors", "lost", "leak_after", "long_lived", "instances",
    "overdue",
)  # fmt: skip

# Which a client that wraps a whole pool does not see.
_OF_SESSIONS = ("connect_errors", "lost", "oldest_idle")

LIBRARIES = {
    "pg.Pool": _node(
        command=("node", "obey.js", "./pg-pool.js"),
        format="native",
        shows=_CLIENT,
        times=_CLIENT_TIMES,
        apart=_CLIENT_APART,
        timeout_kinds=("pool", "connect"),
    ),
    "Sequelize": _node(
        command=("node", "obey.js", "./sequelize.js"),
        format="native",
        shows=tuple(field for field in _CLIENT if field != "connects"),
        # Its very first session asks for the server's version, and is closed.
        differs={"connects": lambda truth: truth.connects + bool(truth.connects)},
        times=_CLIENT_TIMES,
        apart=_CLIENT_APART,
        timeout_kinds=("pool", "connect"),
    ),
    **{
        name: _node(
            command=("node", "obey.js", f"./{file}.js"),
            format="native",
            shows=_CLIENT,
            times=_CLIENT_TIMES,
            apart=_CLIENT_APART,
            timeout_kinds=("pool", "connect"),
            with_recipe=False,
        )
        for name, file in (("Prisma", "prisma"), ("Drizzle", "drizzle"))
    },
    "postgres.js": _node(
        command=("node", "obey.js", "./postgres-js.js"),
        format="native",
        shows=("active", "max", "waiting", "timeouts", "requests", "acquired", "returned"),
        with_recipe=False,
    ),
    "node-postgres exporter": _node(
        command=("node", "obey.js", "./exporter.js"),
        format="node-postgres",
        pool="{server}/postgres",
        shows=(*_GAUGES, "waiting", "connects"),
    ),
    "pg.Pool by OpenTelemetry": _node(
        command=("node", "obey.js", "./opentelemetry.js"),
        format="otel",
        shown_unused=False,
        pool="{server}/postgres",
        shows=("max",),
        differs={
            # A connection that goes back is counted before it is back, and shown as such only
            # with the next one that moves.
            "idle": lambda truth: truth.idle - truth.returned_last,
            "active": lambda truth: truth.active + truth.returned_last,
        },
    ),
    "HikariCP by our client": _pools(
        command=(*_JAVA, "orders.Obey", "client"),
        format="native",
        shows=tuple(field for field in _CLIENT if field != "connects"),
        times=_CLIENT_TIMES,
        apart=(
            *(field for field in _CLIENT_APART if field not in _OF_SESSIONS),
            "leaked",
            "leaked_slots",
        ),
        fills=True,
    ),
    "HikariCP by Micrometer": _pools(
        command=(*_JAVA, "orders.Obey", "micrometer"),
        format="micrometer",
        shows=_HIKARI,
        differs=_HIKARI_DIFFERS,
        times=_HIKARI_TIMES,
        fills=True,
    ),
    "HikariCP's tracker": _pools(
        command=(*_JAVA, "orders.Obey", "tracker"),
        format="hikaricp",
        shows=_HIKARI,
        differs=_HIKARI_DIFFERS,
        times=_HIKARI_TIMES,
        fills=True,
    ),
    "HikariCP by Jolokia": _pools(
        command=("java", _JOLOKIA, *_JAVA[1:], "orders.Obey", "mbeans"),
        format="jolokia",
        shows=(*_GAUGES, "min", "waiting"),
        path="/jolokia/",
        recognised=False,
        fills=True,
    ),
    "Spring Boot": Library(
        toolchain="java",
        directory="java/spring",
        built="target/orders-1-actuator.jar",
        command=(*_JVM, "-jar", "target/orders-1-actuator.jar", "--server.port={port}"),
        format="micrometer",
        shows=_HIKARI,
        differs=_HIKARI_DIFFERS,
        times=_HIKARI_TIMES,
        path="/actuator/prometheus",
        fills=True,
    ),
    "Agroal by its Spring starter": _others(
        command=(*_JAVA, "orders.Obey", "spring-agroal"),
        format="agroal",
        shows=("idle", "active", "waiting", "acquired", "connects"),
        times={"acquire_wait": False},
    ),
    "Quarkus": _quarkus(
        command=(*_JVM, "-jar", "target/quarkus-app/quarkus-run.jar", "jdbc"),
        format="agroal",
        pool="default",
        shows=("idle", "active", "waiting", "acquired", "connects"),
        times={"acquire_wait": False},
    ),
    "Quarkus, reactive": _quarkus(
        command=(*_JVM, "-jar", "target/quarkus-app/quarkus-run.jar", "reactive"),
        format="quarkus-reactive",
        shows=("max", "active", "waiting", "returned"),
        differs=_WITH_FAILURES,
        times={"acquire_wait": True, "held": False},
    ),
    "Tomcat JDBC by Spring Boot": _others(
        command=(*_JAVA, "orders.Obey", "spring-tomcat"),
        format="spring-jdbc",
        shows=(*_GAUGES, "min"),
    ),
    "DBCP2 by Spring Boot": _others(
        command=(*_JAVA, "orders.Obey", "spring-dbcp2"),
        format="spring-jdbc",
        shows=(*_GAUGES, "min"),
    ),
    "DBCP2 by Micrometer": _others(
        command=(*_JAVA, "orders.Obey", "commons-pool2"),
        format="commons-pool2",
        shows=("idle", "active", "waiting", "acquired", "returned", "connects"),
    ),
    "R2DBC pool by Spring Boot": _others(
        command=(*_JAVA, "orders.Obey", "spring-r2dbc"),
        format="r2dbc",
        shows=(*_GAUGES, "waiting"),
    ),
    "Vert.x": _others(
        command=(*_JAVA, "orders.Obey", "vertx"),
        format="vertx",
        shows=("active", "waiting", "returned"),
        differs=_WITH_FAILURES,
        times={"acquire_wait": True, "held": False},
    ),
    "c3p0 by OpenTelemetry": _others(
        command=(*_AGENT, *_CLASSES, "orders.Obey", "c3p0"),
        format="otel-old",
        shows=("idle", "active", "waiting"),
    ),
    "Tomcat JDBC by OpenTelemetry": _others(
        command=(*_AGENT, _OF_NEWER_NAMES, *_CLASSES, "orders.Obey", "tomcat"),
        format="otel",
        shows=(*_GAUGES, "min", "waiting"),
    ),
    "DBCP2 by OpenTelemetry": _others(
        command=(*_AGENT, *_CLASSES, "orders.Obey", "dbcp2"),
        format="otel-old",
        shows=(*_GAUGES, "min"),
    ),
    "HikariCP by OpenTelemetry": _others(
        command=(*_AGENT, _OF_NEWER_NAMES, *_CLASSES, "orders.Obey", "hikari"),
        format="otel",
        shows=_HIKARI,
        differs=_HIKARI_DIFFERS,
        times=_HIKARI_TIMES,
        fills=True,
    ),
    "our client": _go(
        command=("build/app", "client"),
        format="native",
        shows=_CLIENT,
        times=_CLIENT_TIMES,
        apart=_CLIENT_APART,
        timeout_kinds=(
            "pool",
            "connect",
            "statement",
            "lock",
            "idle_in_transaction",
            "idle_session",
            "transaction",
        ),
    ),
    "pgxpool": _go(
        command=("build/app", "pgxpool"),
        format="pgxpool",
        shows=(*_GAUGES, "timeouts", "acquired", "connects"),
        differs=_PGX_DIFFERS,
        times={"acquire_wait": False},
    ),
    "otelpgx": _go(
        command=("build/app", "otelpgx"),
        format="otelpgx",
        with_recipe=False,
        pool="{server}/postgres",
        shows=(*_GAUGES, "timeouts", "acquired", "connects"),
        differs=_PGX_DIFFERS,
        times={"acquire_wait": False},
    ),
    "pgxpool by OpenTelemetry's bridge": _go(
        command=("build/app", "bridge"),
        format="pgxpool",
        with_recipe=False,
        shows=(*_GAUGES, "timeouts", "acquired", "connects"),
        differs=_PGX_DIFFERS,
        times={"acquire_wait": False},
    ),
    "pgxpool by cmackenzie1": _go(
        command=("build/app", "cmackenzie1"),
        format="pgx-pool",
        shows=(*_GAUGES, "timeouts", "connects"),
        differs=_PGX_DIFFERS,
    ),
    "database/sql": _go(
        command=("build/app", "database/sql"),
        format="go-sql",
        shows=(*_GAUGES, "queued"),
        times={"acquire_wait": True},
    ),
    **{
        f"database/sql by {name}": _go(
            command=("build/app", kind),
            format="otelsql",
            with_recipe=False,
            shows=(*_GAUGES, "queued"),
            times={"acquire_wait": True},
        )
        for name, kind in (("XSAM's otelsql", "otelsql"), ("uptrace's otelsql", "uptrace"))
    },
}

SPRING_BOOT_WITH_OUR_CLIENT = replace(
    LIBRARIES["Spring Boot"],
    built="target/orders-1-client.jar",
    command=(*_JVM, "-jar", "target/orders-1-client.jar", "--server.port={port}"),
)
