"""Which messages the client has of those that providers still keep for it.

On a sealed line, a provider keeps what it handed over until the client says in its next pull that
it has it. If that pull, or its answer, is lost, the same messages come again. So their numbers are
kept, and are written to disk together with the messages: a client that is killed in between knows
them at its next start, and an application gets no message twice.

A number is named only when it is on disk with its message, together with all others that came
before the same moment (nym/client/settling.py). So a provider doesn't learn which messages take
longer to be written than others. Cover needs no number after a crash: it may come again.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import count

from nym.client.others import MOST_OTHERS
from nym.client.reply_addresses import MOST_ELSEWHERE
from nym.config.checks import MOST_REPLY_ADDRESSES
from nym.store.state import State
from nym.wire.keys import encode_base58
from nym.wire.provider import Pulled

# Registrations that a client has at most: of its main address, and of reply addresses, which may
# also be at providers that the client has left.
MOST = 1 + MOST_OTHERS + MOST_REPLY_ADDRESSES + MOST_ELSEWHERE

_TAKEN = "taken"


class Taken:
    """The numbers of the messages that each provider may still have, up to five for each."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._numbers: dict[str, list[int]] = json.loads(state.get(_TAKEN) or b"{}")
        # Those whose numbers may not be on disk yet, each with a count of all changes until then.
        self._fresh: dict[str, int] = {}
        self._changes = count()

    def numbers(self, provider: bytes, own: bytes = b"") -> tuple[int, ...]:
        """Those of the provider with this identity that are on disk, for the next pull to name.

        It deletes them when the client names them. `own` is the reply address to which they came,
        or empty: the main one.
        """
        name = _name(own, provider)
        return () if name in self._fresh else tuple(self._numbers.get(name, ()))

    @contextmanager
    def settling(self) -> Iterator[None]:
        """What was taken before this is on disk after it, unless an error is raised inside."""
        fresh = dict(self._fresh)
        yield
        for name, change in fresh.items():
            if self._fresh.get(name) == change:
                del self._fresh[name]

    def new(self, pulled: Pulled, own: bytes = b"") -> Iterator[bytes]:
        """The messages that the client hasn't had yet. Asking for the next one takes it.

        No other greenlet may run between that and the moment when the journal got the message.
        """
        if pulled.keeper is None:
            yield from pulled.messages
            return
        # The answer to a pull shows that the provider has deleted what the pull named. So only what
        # came again is still known, and there are never more numbers than a pull can name.
        name = _name(own, pulled.keeper)
        taken = {number for number in pulled.numbers if number in self._numbers.get(name, ())}
        self._keep(name, taken)
        for number, message in zip(pulled.numbers, pulled.messages, strict=True):
            if number not in taken:
                yield message
                taken.add(number)
                # In the same round of the journal as the message. Cover begins none.
                self._keep(name, taken)

    def _keep(self, name: str, numbers: set[int]) -> None:
        kept = sorted(numbers)
        if self._numbers.get(name, []) == kept:
            return
        # Removed first, so that this provider moves to the end of the order.
        self._numbers.pop(name, None)
        if kept:
            self._numbers[name] = kept
        while len(self._numbers) > MOST:
            del self._numbers[next(iter(self._numbers))]
        self._fresh[name] = next(self._changes)
        self._state.set_along(_TAKEN, json.dumps(self._numbers).encode())


@lru_cache(MOST)
def _name(own: bytes, provider: bytes) -> str:
    at = encode_base58(provider)
    return f"{encode_base58(own)}@{at}" if own else at
