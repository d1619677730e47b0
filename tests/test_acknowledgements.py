"""Acknowledgements that are still to be sent: gathered, sent once, in turn, in bounded memory.

Clock readings are arguments, so no test waits.
"""

from collections import defaultdict
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.client import acknowledgements as acknowledgements_module
from nym.client.acknowledgements import MORE, Acknowledgements
from nym.envelope import MOST_RUNS, Acknowledgement, Envelopes, Run
from nym.identity import generate_identity
from nym.store.outgoing import Ends

OWN = b"o" * 32
ALICE, BOB, CAROL = (name * 32 for name in (b"a", b"b", b"c"))
DELAY = 1.0
ONE, OTHER = bytes(16), b"m" * 16


def reaching(*senders: bytes) -> Callable[[bytes], bool]:
    """A predicate: only these senders can be reached through the network."""
    return lambda sender: sender in senders


def anybody(sender: bytes) -> bool:
    return True


def part(index: int) -> Run:
    """A run of one fragment that no other one joins, because every second fragment is missing."""
    return Run(ONE, 2 * index, 2 * index)


class Owing:
    """Acknowledgements of Bob's client, with short ways to add runs and to take what is due."""

    def __init__(self) -> None:
        self.acknowledgements = Acknowledgements(OWN, DELAY)

    def add(self, sender: bytes, *runs: Run, now: float = 0.0, is_complete: bool = True) -> None:
        for run in runs:
            self.acknowledgements.add(Ends(b"", sender), run, now, is_complete=is_complete)

    def next(
        self, now: float, is_routable: Callable[[bytes], bool] = anybody
    ) -> tuple[bytes, tuple[Run, ...]] | None:
        """The next acknowledgement that is due: (to whom, which runs)."""
        due = self.acknowledgements.next(now, lambda ends: is_routable(ends.peer))
        if due is None:
            return None
        ends, acknowledgement = due
        assert acknowledgement == Acknowledgement(acknowledgement.runs, OWN)
        return ends.peer, acknowledgement.runs

    def all(
        self, now: float, is_routable: Callable[[bytes], bool] = anybody
    ) -> list[tuple[bytes, tuple[Run, ...]]]:
        """All acknowledgements that are due now, one after another."""
        return list(iter(lambda: self.next(now, is_routable), None))


@pytest.fixture
def owing() -> Owing:
    return Owing()


def test_nothing_is_said_where_nothing_came(owing: Owing) -> None:
    assert owing.next(1e6) is None


def test_what_came_waits_for_more_and_is_said_once(owing: Owing) -> None:
    owing.add(ALICE, part(0), now=5.0)
    owing.add(ALICE, part(1), Run(OTHER, 0, 3), now=5.9)
    assert owing.next(5.0 + DELAY - 0.01) is None
    assert owing.next(5.0 + DELAY) == (ALICE, (part(0), part(1), Run(OTHER, 0, 3)))
    assert owing.next(1e6) is None


def test_parts_of_a_message_wait_longer_until_one_is_complete(owing: Owing) -> None:
    owing.add(ALICE, part(0), now=0.0, is_complete=False)
    assert owing.next(MORE * DELAY - 0.01) is None
    owing.add(BOB, part(0), now=0.0, is_complete=False)
    owing.add(BOB, part(1), now=1.0, is_complete=True)
    owing.add(BOB, part(2), now=1.5, is_complete=False)
    assert owing.all(1.0 + DELAY - 0.01) == []
    assert owing.all(1.0 + DELAY) == [(BOB, (part(0), part(1), part(2)))]
    assert owing.all(MORE * DELAY) == [(ALICE, (part(0),))]


def test_a_complete_message_hurries_what_is_owed_already(owing: Owing) -> None:
    owing.add(ALICE, Run(ONE, 0, 9), now=0.0, is_complete=False)
    owing.add(ALICE, Run(ONE, 3, 3), now=0.5, is_complete=True)
    assert owing.all(0.5 + DELAY) == [(ALICE, (Run(ONE, 0, 9),))]


def test_as_soon_as_an_envelope_is_full_it_is_said(owing: Owing) -> None:
    owing.add(ALICE, *(part(i) for i in range(MOST_RUNS - 1)))
    assert owing.next(0.0) is None
    owing.add(ALICE, part(MOST_RUNS - 1))
    assert owing.next(0.0) == (ALICE, tuple(part(i) for i in range(MOST_RUNS)))


def test_what_does_not_fill_another_envelope_waits_as_usual(owing: Owing) -> None:
    owing.add(ALICE, *(part(i) for i in range(MOST_RUNS + 1)))
    assert [len(said) for _, said in owing.all(0.0)] == [MOST_RUNS]
    assert owing.next(DELAY - 0.01) is None
    assert owing.next(DELAY) == (ALICE, (part(MOST_RUNS),))


def test_what_has_no_room_follows_with_all_that_came_before_it(owing: Owing) -> None:
    runs = [part(i) for i in range(2 * MOST_RUNS + 5)]
    owing.add(ALICE, *runs)
    said = owing.all(DELAY)
    assert [len(part) for _, part in said] == [MOST_RUNS, MOST_RUNS, 5]
    assert [run for _, part in said for run in part] == runs


def test_senders_take_turns(owing: Owing) -> None:
    many = [part(i) for i in range(2 * MOST_RUNS)]
    owing.add(ALICE, *many)
    owing.add(BOB, *many)
    owing.add(CAROL, part(0))
    assert [sender for sender, _ in owing.all(DELAY)] == [ALICE, BOB, CAROL, ALICE, BOB]


def test_who_came_later_is_told_later(owing: Owing) -> None:
    owing.add(ALICE, part(0), now=0.0)
    owing.add(BOB, part(1), now=0.5)
    assert owing.all(DELAY) == [(ALICE, (part(0),))]
    owing.add(ALICE, part(2), now=1.2)
    assert owing.all(0.5 + DELAY) == [(BOB, (part(1),))]
    assert owing.all(1.2 + DELAY) == [(ALICE, (part(2),))]


def test_what_belongs_to_one_is_not_said_to_another(owing: Owing) -> None:
    owing.add(ALICE, part(0))
    owing.add(BOB, Run(OTHER, 0, 0))
    assert owing.all(DELAY) == [(ALICE, (part(0),)), (BOB, (Run(OTHER, 0, 0),))]


@pytest.mark.parametrize("is_routable_later", [True, False])
def test_who_cannot_be_reached_waits_and_holds_up_nobody(
    owing: Owing, *, is_routable_later: bool
) -> None:
    owing.add(ALICE, part(0))
    owing.add(BOB, part(1))
    assert owing.all(DELAY, reaching(BOB)) == [(BOB, (part(1),))]
    owing.add(ALICE, part(2), now=100.0)
    later = owing.all(100.0, reaching(ALICE) if is_routable_later else reaching(BOB))
    assert later == ([(ALICE, (part(0), part(2)))] if is_routable_later else [])


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([(0, 0), (0, 1), (0, 2)], [(0, 2)]),
        ([(0, 0), (2, 2), (0, 2)], [(0, 2)]),
        ([(3, 5), (3, 5)], [(3, 5)]),
        ([(3, 5), (4, 4)], [(3, 5)]),
        ([(3, 5), (3, 4)], [(3, 5)]),
        ([(3, 5), (4, 5)], [(3, 5)]),
        ([(3, 5), (4, 6)], [(3, 5), (4, 6)]),
        ([(3, 5), (2, 4)], [(3, 5), (2, 4)]),
        ([(3, 5), (6, 8)], [(3, 5), (6, 8)]),
        ([(3, 5), (7, 7), (0, 9)], [(0, 9)]),
    ],
)
def test_a_run_within_another_of_its_message_is_not_said(
    owing: Owing, runs: list[tuple[int, int]], said: list[tuple[int, int]]
) -> None:
    owing.add(ALICE, *(Run(ONE, *run) for run in runs))
    assert owing.next(DELAY) == (ALICE, tuple(Run(ONE, *run) for run in said))


def test_the_same_run_of_another_message_is_another(owing: Owing) -> None:
    owing.add(ALICE, Run(ONE, 0, 5), Run(OTHER, 0, 5), Run(OTHER, 2, 2))
    assert owing.next(DELAY) == (ALICE, (Run(ONE, 0, 5), Run(OTHER, 0, 5)))


def test_for_one_sender_no_more_runs_wait_than_there_is_room_for(
    owing: Owing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledgements_module, "MOST_WAITING", 3)
    owing.add(ALICE, *(part(i) for i in range(5)))
    owing.add(BOB, part(7))
    assert owing.all(DELAY) == [(ALICE, (part(0), part(1), part(2))), (BOB, (part(7),))]


def test_a_run_that_replaces_others_has_their_room(
    owing: Owing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledgements_module, "MOST_WAITING", 2)
    owing.add(ALICE, part(0), part(1), Run(ONE, 0, 9))
    assert owing.next(DELAY) == (ALICE, (Run(ONE, 0, 9),))


def test_strangers_who_cannot_be_reached_keep_nobody_from_an_answer(
    owing: Owing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledgements_module, "MOST_SENDERS", 10)
    for i in range(50):
        owing.add(bytes([i]) * 32, part(0))
    owing.add(ALICE, part(1))
    owing.add(b"s" * 32, part(0))
    assert owing.all(DELAY, reaching(ALICE)) == [(ALICE, (part(1),))]
    assert len(owing.all(DELAY)) == 9


def test_who_is_there_already_pushes_nobody_out(
    owing: Owing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledgements_module, "MOST_SENDERS", 2)
    owing.add(ALICE, part(0))
    owing.add(BOB, part(0))
    owing.add(BOB, part(1))
    assert [sender for sender, _ in owing.all(DELAY)] == [ALICE, BOB]


IDENTITY, RECIPIENT = generate_identity(), generate_identity()
SEALING, OPENING = Envelopes(IDENTITY), Envelopes(RECIPIENT)
runs = st.builds(
    lambda message_id, ends: Run(message_id, min(ends), max(ends)),
    st.sampled_from([ONE, OTHER]),
    st.tuples(st.integers(0, 300), st.integers(0, 300)) | st.integers(0, 300).map(lambda i: (i, i)),
)
senders = st.sampled_from([ALICE, BOB, CAROL])


def fragments(runs: tuple[Run, ...]) -> set[tuple[bytes, int]]:
    return {(run.message_id, i) for run in runs for i in range(run.first, run.last + 1)}


@given(st.lists(st.tuples(senders, runs, st.booleans(), st.booleans()), max_size=150))
def test_all_that_came_is_said_and_nothing_else_in_envelopes_that_can_be_read(
    steps: list[tuple[bytes, Run, bool, bool]],
) -> None:
    acknowledgements = Acknowledgements(IDENTITY.public_key, DELAY)
    came: dict[bytes, set[tuple[bytes, int]]] = defaultdict(set)
    said: dict[bytes, set[tuple[bytes, int]]] = defaultdict(set)
    for now, (sender, run, is_complete, is_routable) in enumerate(steps):
        acknowledgements.add(Ends(b"", sender), run, now, is_complete=is_complete)
        came[sender] |= fragments((run,))
        reached = anybody if is_routable else reaching(ALICE)
        if due := acknowledgements.next(now, lambda ends: reached(ends.peer)):  # noqa: B023
            said[due[0].peer] |= fragments(due[1].runs)
    while due := acknowledgements.next(1e6, lambda ends: anybody(ends.peer)):
        (_, recipient, _), acknowledgement = due
        envelope = SEALING.seal(acknowledgement, RECIPIENT.public_key)
        assert OPENING.open(envelope) == acknowledgement
        said[recipient] |= fragments(acknowledgement.runs)
    assert said == came
