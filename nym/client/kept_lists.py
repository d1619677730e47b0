"""The lists of providers' clients that this client has, in memory and for its next start.

A directory names each list by its digest (docs/protocol/directory.md, "Lists by digest"). A list
that is here isn't asked for again, and of one that has changed, only the changes are. A provider
that has taken another key, or has moved, is found again by what it has kept.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from gevent.lock import BoundedSemaphore
from gevent.pool import Pool

from nym.errors import RemoteError, RemoteFormatError, StoreError
from nym.judge import Judgement
from nym.net.boundary import deadline
from nym.net.directory import LIST_PATIENCE, fetch_list
from nym.net.threads import beside_the_hub
from nym.net.watch import Outage
from nym.store.lists import ListFiles
from nym.wire.clients import EMPTY, AddressList, Changes, Digest, changes_between, read_list
from nym.wire.directory import Provider
from nym.wire.text import visible_url
from nym.wire.versions import identity_in

FOLDER = "lists"
MOST_ADDRESSES = 4_000_000  # in all lists that are used: 128 MB
MOST_KEPT = 2000  # lists; those used longest ago go
AT_ONCE = 8  # lists that are asked for at the same time

log = logging.getLogger(__name__)


class _Kept(NamedTuple):
    """A provider's list, and what the provider is known by besides its key."""

    clients: AddressList
    place: str = ""
    identity: bytes | None = None


class KeptLists:
    """Puts lists into the places of their digests. Without a `folder`, they are only in memory."""

    def __init__(self, folder: Path | None = None) -> None:
        self._files = ListFiles(folder / FOLDER) if folder else None
        self._is_loaded = False
        self._kept: dict[bytes, _Kept] = {}  # by the providers' keys; those used last come last
        self._writing = BoundedSemaphore()
        self._outage = Outage(log, "lists of clients", "they are fetched again after a restart")
        self._has_said_too_many = False

    def complete(self, judgement: Judgement, directory: str | None) -> Judgement:
        """The judgement with the lists that its providers have now, asked of this directory.

        Without one, with those that are kept. Raises RemoteError if the directory doesn't give all
        of them: with only some, a provider could get recipients because another list is late.
        """
        providers = [node for node in judgement.nodes.values() if isinstance(node, Provider)]
        self._load()
        self._follow(providers)
        if directory is not None:
            self._fetch_all(self._missing(providers), directory)
        for node in providers:
            if node.digest is None and node.clients != self._clients_of(node):
                self._put(node, partial(_changed, self._clients_of(node), node.clients))
        self._drop_surplus()
        return judgement._replace(
            nodes={
                standing: node._replace(clients=self._clients_of(node), digest=None)
                if isinstance(node, Provider)
                else node
                for standing, node in judgement.nodes.items()
            }
        )

    def _load(self) -> None:
        if self._files and not self._is_loaded:
            with self._disk():
                lists = beside_the_hub(self._files.load)
                self._kept = {key: _Kept(clients) for key, clients in lists.items()}
        self._is_loaded = True

    def _follow(self, providers: list[Provider]) -> None:
        """Note what these providers are known by now; one that has another key keeps its list."""
        here = {node.public_key for node in providers}
        gone: dict[object, bytes] = {}
        for key, kept in self._kept.items():
            if key not in here:
                gone |= {name: key for name in (kept.place, kept.identity) if name}
        for node in providers:
            key, place, identity = _names(node)
            old = key if key in self._kept else gone.get(place) or gone.get(identity) or key
            kept = self._kept.pop(old, _Kept(EMPTY))
            self._kept[key] = _Kept(kept.clients, place, identity)
            if old != key:
                self._write(partial(ListFiles.move, key=old, new=key))

    def _missing(self, providers: list[Provider]) -> list[Provider]:
        """The providers whose lists have to be fetched; those of known lists get them here."""
        known = {kept.clients.digest: kept.clients for kept in self._kept.values()}
        known[EMPTY.digest] = EMPTY
        missing, room = [], MOST_ADDRESSES
        for node in sorted(providers, key=_size):
            room -= _size(node)
            before = self._clients_of(node)
            if node.digest is None or node.digest == before.digest:
                continue
            if node.digest in known:
                self._put(node, partial(_changed, before, known[node.digest]))
            elif room >= 0:
                missing.append(node)
            elif not self._has_said_too_many:
                self._has_said_too_many = True
                log.warning(
                    "the network's providers list more than %d clients; those of the providers "
                    "with most of them aren't known here",
                    MOST_ADDRESSES,
                )
        return missing

    def _fetch_all(self, providers: list[Provider], directory: str) -> None:
        def fetch(node: Provider) -> RemoteError | None:
            try:
                self._fetch(node, node.digest or EMPTY.digest, directory)
            except RemoteError as error:
                return error
            return None

        pool = Pool(AT_ONCE)
        try:
            with deadline(visible_url(directory), LIST_PATIENCE):
                for error in pool.imap_unordered(fetch, providers):
                    if error is not None:
                        raise error
        finally:
            pool.kill()

    def _fetch(self, node: Provider, digest: Digest, directory: str) -> None:
        before = self._clients_of(node)
        body = fetch_list(directory, digest, before.digest)
        try:
            self._put(node, partial(read_list, body, before, digest))
        except RemoteFormatError as error:
            raise RemoteFormatError(
                f"a list of clients from {visible_url(directory)} can't be used: {error}"
            ) from error

    def _put(self, node: Provider, make: Callable[[], tuple[Changes, AddressList]]) -> None:
        """Give the provider the list that `make` returns, with the changes that led to it."""
        changes, clients = beside_the_hub(make)
        key, place, identity = _names(node)
        self._kept[key] = _Kept(clients, place, identity)
        self._write(lambda files: files.write(key, changes, clients))

    def _drop_surplus(self) -> None:
        for key in list(islice(self._kept, max(0, len(self._kept) - MOST_KEPT))):
            del self._kept[key]
            self._write(partial(ListFiles.drop, key=key))

    def _clients_of(self, node: Provider) -> AddressList:
        return self._kept[node.public_key].clients

    def _write(self, write: Callable[[ListFiles], None]) -> None:
        if self._files:
            with self._disk():
                beside_the_hub(write, self._files)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """Do one thing on the disk at a time. A failure costs only time at the next start."""
        with self._writing:
            try:
                yield
            except StoreError as error:
                self._outage.begins(error)
            else:
                self._outage.ends()


def _names(node: Provider) -> tuple[bytes, str, bytes | None]:
    return node.public_key, node.client_listener, identity_in(node.version)


def _size(node: Provider) -> int:
    return len(node.clients) if node.digest is None else node.digest.size


def _changed(before: AddressList, after: AddressList) -> tuple[Changes, AddressList]:
    return changes_between(before, after), after.prepared()
