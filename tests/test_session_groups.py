"""Which sessions are grouped together, and which groups have a name of their own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from pg_pool_exporter.metrics.limiter import KEEP_SECONDS
from pg_pool_exporter.model import ClientKey, SessionGroup, SessionKey, StateSample
from pg_pool_exporter.sources.postgres.session_groups import (
    FOLDED,
    PROTECTED_GROUPS,
    Folded,
    SessionGroups,
)

Client = tuple[ClientKey, SessionGroup]
Clients = list[Client]


def row(
    application: str = "app",
    sessions: int = 1,
    state: str = "idle",
    *,
    oldest: float | None = None,
    waiting: int | None = 0,
    blocking: int | None = 0,
    database: str = "db",
    user: str = "role",
) -> Client:
    """Sessions of one client; without `oldest` they are hidden, or their age is unknown."""
    seen = oldest is not None
    group = SessionGroup(
        ages={state: (oldest,) * sessions} if oldest is not None else {},
        hidden={} if seen else {state: sessions},
        oldest_backend=oldest,
        oldest_transaction=oldest,
        waiting=waiting,
        oldest_waiting=oldest if waiting else None,
        blocking=blocking,
    )
    return ClientKey(SessionKey(database, user, application)), group


def fold(groups: SessionGroups, rows: Clients, now: float) -> Folded:
    """Fold the rows, each of which comes from an address of its own."""
    return groups.fold(
        {key._replace(address=str(number)): group for number, (key, group) in enumerate(rows)}, now
    )


def key(application: str) -> SessionKey:
    return SessionKey("db", "role", application)


def total(folded: Folded) -> int:
    return sum(group.sessions for group in folded.groups.values())


def names(folded: Folded) -> set[str]:
    """Applications that have a name of their own."""
    return {key.application for key in folded.groups if key != FOLDED}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([], {}, id="nobody is connected"),
        pytest.param(
            [row(state="idle", sessions=3, oldest=9.0), row(state="active", oldest=1.0)],
            {
                key("app"): SessionGroup(
                    ages={"idle": (9.0, 9.0, 9.0), "active": (1.0,)},
                    oldest_backend=9.0,
                    oldest_transaction=9.0,
                    waiting=0,
                    blocking=0,
                )
            },
            id="states of one group come together",
        ),
        pytest.param(
            [row(waiting=2, blocking=1, oldest=4.0), row("", state="active", blocking=1)],
            {
                key("app"): SessionGroup(
                    ages={"idle": (4.0,)},
                    oldest_backend=4.0,
                    oldest_transaction=4.0,
                    waiting=2,
                    oldest_waiting=4.0,
                    blocking=1,
                ),
                key(""): SessionGroup(hidden={"active": 1}, waiting=0, blocking=1),
            },
            id="a session without an application name is a group too",
        ),
        pytest.param(
            [row(waiting=None, blocking=None), row(state="active", waiting=1, blocking=1)],
            {key("app"): SessionGroup(hidden={"idle": 1, "active": 1}, blocking=1)},
            id="unknown of some is unknown of all together, but for known blockers",
        ),
        pytest.param(
            [row("a", 5), row("b", 4), row("c", 2, oldest=7.0), row("d", 1, oldest=8.0, waiting=1)],
            {
                key("a"): SessionGroup(hidden={"idle": 5}, waiting=0, blocking=0),
                key("b"): SessionGroup(hidden={"idle": 4}, waiting=0, blocking=0),
                FOLDED: SessionGroup(
                    ages={"idle": (8.0, 7.0, 7.0)},
                    oldest_backend=8.0,
                    oldest_transaction=8.0,
                    waiting=1,
                    oldest_waiting=8.0,
                    blocking=0,
                ),
            },
            id="beyond the biggest, counts add and ages take the maximum",
        ),
    ],
)
def test_rows_become_groups(rows: Clients, expected: dict[SessionKey, SessionGroup]) -> None:
    assert fold(SessionGroups(2), rows, 0).groups == expected


def test_states_count_hidden_sessions_and_have_an_age_only_where_one_is_known() -> None:
    group = SessionGroup(
        ages={"idle": (9.0, 1.0), "unknown": (0.0,)}, hidden={"unknown": 2, "disabled": 1}
    )
    assert group.sessions == 6
    assert group.states == {
        "idle": StateSample(2, 9.0),
        "unknown": StateSample(3, None),
        "disabled": StateSample(1, None),
    }


def test_it_says_how_many_groups_are_folded() -> None:
    assert fold(SessionGroups(2), [row(name) for name in "abcde"], 0).folded == 3
    assert fold(SessionGroups(5), [row(name) for name in "abcde"], 0).folded == 0


def test_a_group_keeps_its_name_until_it_was_not_among_the_biggest_for_ten_minutes() -> None:
    groups = SessionGroups(1)
    assert names(fold(groups, [row("old", 5), row("new", 1)], 0)) == {"old"}
    smaller = [row("old", 1), row("new", 5)]
    assert names(fold(groups, smaller, 1)) == {"old"}
    assert names(fold(groups, smaller, KEEP_SECONDS - 1)) == {"old"}
    assert names(fold(groups, smaller, KEEP_SECONDS)) == {"new"}


def test_a_group_that_was_among_the_biggest_again_has_ten_more_minutes() -> None:
    groups = SessionGroups(1)
    fold(groups, [row("old", 5)], 0)
    fold(groups, [row("old", 5), row("new", 1)], 500)
    assert names(fold(groups, [row("old", 1), row("new", 5)], 1000)) == {"old"}


def test_a_group_that_is_gone_leaves_its_place_to_one_that_is_present() -> None:
    groups = SessionGroups(1)
    fold(groups, [row("old", 1)], 0)
    assert names(fold(groups, [], 50)) == set()
    assert names(fold(groups, [row("old", 1), row("new", 9)], 100)) == {"old"}
    assert names(fold(groups, [row("new", 9)], 200)) == {"new"}


def test_applications_of_the_configuration_are_never_folded_and_take_nobodys_place() -> None:
    rows = [row("a", 9), row("b", 8), row("mine", 1), row("", 1)]
    folded = fold(SessionGroups(1, {"mine"}), rows, 0)
    assert names(folded) == {"a", "mine"}
    assert folded.folded == 2


def test_users_of_a_protected_application_are_folded_beyond_their_cap_but_not_its_name() -> None:
    groups = SessionGroups(1, {"mine"})
    ever: set[SessionKey] = set()
    for minute in range(60):
        rows = [row("mine", database=f"tenant-{minute}-{n}") for n in range(200)]
        folded = fold(groups, rows, minute * 60.0)
        assert total(folded) == 200
        rest = folded.groups[SessionKey("other", "other", "mine")].sessions
        assert folded.folded == rest >= 200 - PROTECTED_GROUPS
        ever |= folded.groups.keys()
    assert len(ever) <= 12 * PROTECTED_GROUPS + 1, "and its names are bounded over time"


def test_a_protected_application_called_other_loses_no_session() -> None:
    rows = [row("other", 5, database=name, user=name) for name in ("other", "db")]
    folded = fold(SessionGroups(2, {"other"}), [*rows, *(row(name) for name in "abcd")], 0)
    assert total(folded) == 14
    assert folded.groups[FOLDED].sessions == 5 + 2


def test_a_real_group_called_other_is_counted_with_the_folded_ones() -> None:
    real = row("other", 7, database="other", user="other")
    folded = fold(SessionGroups(1), [real, row("a", 9), row("b", 1)], 0)
    assert folded.groups[FOLDED].sessions == 8


@pytest.mark.slow
def test_ten_thousand_names_that_change_each_minute_stay_under_the_cap_for_an_hour() -> None:
    groups = SessionGroups(100, {"orders"})
    ever: set[str] = set()
    for minute in range(60):
        rows = [row(f"worker-{minute}-{n}", 1 + n % 3) for n in range(10_000)]
        rows.append(row("orders", 4))
        folded = fold(groups, rows, minute * 60.0)
        assert total(folded) == sum(group.sessions for _, group in rows)
        assert len(names(folded)) <= 101
        assert "orders" in names(folded)
        assert folded.folded == 10_001 - len(names(folded))
        ever |= names(folded)
    assert len(ever) <= 12 * 100 + 1, "each place changes hands twice in ten minutes at most"


polls = st.lists(
    st.lists(
        st.builds(
            row,
            st.text(alphabet="abcdefg", max_size=2),
            st.integers(1, 50),
            st.sampled_from(["idle", "active", "unknown"]),
            oldest=st.none() | st.floats(0, 1e6),
            waiting=st.integers(0, 3),
            blocking=st.integers(0, 3),
        ),
        max_size=40,
    ),
    max_size=8,
)


@settings(deadline=None)
@given(polls=polls, limit=st.integers(1, 10), step=st.floats(0.1, 700))
def test_no_session_is_lost_and_the_cap_holds_whatever_comes(
    polls: list[Clients], limit: int, step: float
) -> None:
    groups = SessionGroups(limit, {"a"})
    for number, rows in enumerate(polls):
        folded = fold(groups, rows, number * step)
        assert total(folded) == sum(group.sessions for _, group in rows)
        assert len(names(folded) - {"a"}) <= limit
        for field in ("waiting", "blocking"):
            assert sum(getattr(group, field) for group in folded.groups.values()) == sum(
                getattr(group, field) for _, group in rows
            )
        for field in ("oldest_backend", "oldest_transaction", "oldest_waiting"):
            found = [getattr(group, field) for group in folded.groups.values()]
            given_ = [getattr(group, field) for _, group in rows]
            assert max(filter(None, found), default=0) == max(filter(None, given_), default=0)
