"""How a provider tells directories who its clients are.

docs/protocol/directory.md, "Lists by digest". A directory of ours gets the digest of the list with
each post, and the list, or what has changed in it, when it asks for it. A published one gets the
whole list each time, as in 0.4.
"""

from collections.abc import Callable
from typing import NamedTuple

from nym.net.threads import beside_the_hub
from nym.nodes.posting import Desk
from nym.wire.clients import EMPTY, AddressList, changes_between
from nym.wire.directory import (
    PROVIDERS_PATH,
    SINCE_HEADER,
    Lists,
    Provider,
    encode_presence,
)

# Clients in a whole list: as many as directories take that take 4 MiB, with 58 bytes for each.
MOST_WHOLE = 72_000


class Listing:
    """Posts a provider, with its clients.

    `record` makes its record, given the list. `clients` returns their addresses, the newest last.
    `say` is called with what the operator should know.
    """

    def __init__(
        self,
        record: Callable[[AddressList], Provider],
        clients: Callable[[], list[bytes]],
        say: Callable[[str], None],
    ) -> None:
        self._record = record
        self._clients = clients
        self._say = say
        self._listed = _Listed([], EMPTY)
        self._whole: tuple[Provider, bytes] | None = None  # what is posted as in 0.4
        self._has: dict[Desk, AddressList] = {}  # what each directory has

    def post(self, desk: Desk) -> None:
        """Post that the provider is alive, and send the list if it is asked for.

        Raises RemoteError.
        """
        if not desk.takes_digests():
            body = self._whole_body()
            desk.post("presence", PROVIDERS_PATH, lambda: body)
            return
        self._listed = listed = beside_the_hub(_renewed, self._clients(), self._listed)
        clients = listed.clients
        since = self._post_digest(desk, clients)
        if since is not None:
            has = self._has.get(desk, EMPTY)
            if since != str(has.digest):
                has = EMPTY
            desk.post_list(clients.digest, beside_the_hub(_changes, has, clients))
            self._post_digest(desk, clients)  # now the directory can list it
        self._has[desk] = clients

    def _post_digest(self, desk: Desk, clients: AddressList) -> str | None:
        """Post the digest. If the directory asks for the list, returns since which one."""

        def make() -> bytes:
            return encode_presence(self._record(clients), Lists.BY_DIGEST)

        return desk.post("presence", PROVIDERS_PATH, make).get(SINCE_HEADER)

    def _whole_body(self) -> bytes:
        addresses = self._clients()
        if len(addresses) > MOST_WHOLE:
            self._say(
                f"posts only the {MOST_WHOLE} clients that registered last to directories that "
                "don't take lists by digest, which take no more; nobody finds the others there"
            )
        self._listed = beside_the_hub(_renewed, addresses[-MOST_WHOLE:], self._listed)
        record = self._record(self._listed.clients)
        if self._whole is None or self._whole[0] != record:
            self._whole = record, beside_the_hub(encode_presence, record)
        return self._whole[1]


class _Listed(NamedTuple):
    """Addresses, and the list of them."""

    addresses: list[bytes]
    clients: AddressList


def _renewed(addresses: list[bytes], before: _Listed) -> _Listed:
    if addresses == before.addresses:
        return before
    return _Listed(addresses, AddressList.of(addresses).prepared())


def _changes(before: AddressList, after: AddressList) -> bytes:
    return changes_between(before, after).encode()
