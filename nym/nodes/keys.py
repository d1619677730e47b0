"""The keys of a node: one that it announces, and for a while the one before.

docs/protocol/mixnode.md, "Keys".

A node takes a new Sphinx key every `lifetime` seconds. Packets that were made for the one before
are accepted for `overlap` seconds more. Then that key is destroyed, together with the tags of its
packets: nobody can open any more what was recorded until then. There are never more than these two
keys, so a packet that no key opens costs two attempts at most, and tags take a bounded memory:

- A new key waits until the overlap of the one before is over.
- Only if the tables of tags are full does it come at once; the one before then ends early.

In a folder, each key is a folder of its own, named by a number; the highest one is the current key.
A name that begins with a dot is that of a key in the making, or of one that is being destroyed:
keys come and go by a rename, so whenever the process is killed, each is there as a whole or not at
all. A key is used and announced once it is on the disk.

How old keys are is measured by two clocks that go on across starts (nym.store.clock). The age of
the current key includes the time in which the machine was off. The overlap includes only the time
in which it ran: when the wall clock is set, no key ends that was announced a moment ago.
"""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nym._secrets import Secret, random_scalar
from nym.config.nodes import KeySettings
from nym.errors import IdentityError
from nym.files import destroy_file, exists, make_folder, os_errors_as, sync_folder, write_file
from nym.identity import (
    PRIVATE_FILE,
    PUBLIC_FILE,
    Identity,
    generate_identity,
    has_identity,
    load_identity,
    read_pem,
    save_identity,
    write_pem,
)
from nym.net.threads import beside_the_hub
from nym.nodes.keyring import Key, Keys
from nym.nodes.replays import Replays, make_first
from nym.store.clock import Kept, LastingClock, boot_id, since_boot

NOTE_EVERY = 60.0  # seconds that the clocks may lose when the machine loses its power

KEYS_FOLDER = "keys"
_BEGUN = "begun.json"
_CLOCKS = "clocks"
TOKENS_FILE = "tokens.pem"
_LABEL = "NYM-CLIENT TOKEN KEY"

log = logging.getLogger(__name__)


class _Begun(NamedTuple):
    """When a key was made, by the two clocks."""

    age: float
    run: float


class Keyring(Keys[_Begun]):
    """The keys of one node, kept in `folder` if there is one, otherwise in memory.

    Only one process may use the folder; or, unless this one `is_alone`, its workers use the tags of
    packets, too (nym.nodes.workers). A folder that has a single key, as those of earlier
    versions, gives it up: it becomes the current key here.
    """

    def __init__(
        self,
        folder: Path | None,
        lifetime: float = KeySettings.lifetime,
        overlap: float = KeySettings.overlap,
        *,
        is_alone: bool = True,
        boot: Callable[[], str | None] = boot_id,
        since_boot: Callable[[], float] = since_boot,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Raises IdentityError, and OSError where the folder can't be used."""
        super().__init__(folder, lifetime, overlap)
        self.ended_early = 0  # keys that ended before their overlap was over
        self._is_alone = is_alone
        self._folder = folder and folder / KEYS_FOLDER
        if self._folder is not None:
            make_folder(self._folder)
        self._notes = _Notes(self._folder and self._folder / _CLOCKS)
        clock = (boot, since_boot)
        self._age = LastingClock(self._notes, *clock, wall, "age", NOTE_EVERY)
        # Without a wall clock, only the time counts in which the machine runs.
        self._run = LastingClock(self._notes, *clock, lambda: 0.0, "run", NOTE_EVERY)
        self._keys = self._load()  # the current one first
        if folder is not None:
            self._clear()
            self._adopt(folder)
        if not self._keys:
            self._keys = [self._make(generate_identity())]

    @property
    def age(self) -> float:
        """For how many seconds the current key has been there."""
        return self._age.reading() - self._keys[0].begun.age

    @property
    def _current(self) -> Key[_Begun]:
        return self._keys[0]

    def _look(self) -> None:
        now = beside_the_hub(self._now)
        self._keys[0].replays.look()  # what workers have noted
        is_full = self._keys[0].replays.is_full
        if len(self._keys) > 1 and (is_full or self._left(now) <= 0):
            self._end_the_one_before(self._left(now))
        is_old = now.age - self._keys[0].begun.age >= self.lifetime and len(self._keys) == 1
        beside_the_hub(self._clear)
        if is_old or is_full:
            self._keys.insert(0, beside_the_hub(self._make, generate_identity()))
        if self._notes.error is not None:
            raise self._notes.error

    def _end_the_one_before(self, left: float) -> None:
        # `pop` drops the last reference to the private key, which wipes it.
        self._keys.pop().replays.close()
        if left > 0:
            if not self.ended_early:
                log.warning(
                    "a key ended %.0f s early: more packets come than can be remembered for so "
                    "long; this is logged only once",
                    left,
                )
            self.ended_early += 1

    def _now(self) -> _Begun:
        return _Begun(self._age.now(), self._run.now())

    def _left(self, now: _Begun) -> float:
        """Seconds until the overlap of the key before is over."""
        return self.overlap - (now.run - self._keys[0].begun.run)

    def _rest(self) -> float:
        """Seconds until something may be due."""
        now = beside_the_hub(self._now)
        # While there is a key before, nothing is due before that one ends.
        is_alone = len(self._keys) == 1
        age = now.age - self._keys[0].begun.age
        left = self.lifetime - age if is_alone else self._left(now)
        return max(0.0, min(NOTE_EVERY, left))

    def _load(self) -> list[Key[_Begun]]:
        if self._folder is None:
            return []
        numbers = sorted(_numbers(self._folder), reverse=True)
        return [self._read(number) for number in numbers[:2]]

    def _read(self, number: int) -> Key[_Begun]:
        assert self._folder is not None
        path = self._folder / str(number)
        now = self._now()
        try:
            begun = _Begun(*map(float, json.loads((path / _BEGUN).read_text())))
        except (FileNotFoundError, TypeError, ValueError):
            log.warning("%s is missing or damaged, so this key counts as a new one", path / _BEGUN)
            begun = now
        # A clock that was lost with its notes may have begun anew, at an earlier time.
        begun = _Begun(min(begun.age, now.age), min(begun.run, now.run))
        return Key(number, load_identity(path), self._replays(path), begun)

    def _make(self, identity: Identity) -> Key[_Begun]:
        begun = self._now()
        number = self._keys[0].number + 1 if self._keys else 1
        if self._folder is None:
            return Key(number, identity, Replays(None), begun)
        making = self._folder / f".{number}"
        save_identity(identity, making)
        with os_errors_as(IdentityError, f"a new key can't be written to {self._folder}"):
            write_file(making / _BEGUN, json.dumps(begun).encode())
            make_first(making)
            sync_folder(making)
            path = making.rename(self._folder / str(number))
            sync_folder(self._folder)
            return Key(number, identity, self._replays(path), begun)

    def _replays(self, path: Path) -> Replays:
        return Replays(path, is_alone=self._is_alone)

    def _adopt(self, folder: Path) -> None:
        """Take over the only key of a folder of an earlier version."""
        if self._folder is None or not has_identity(folder):
            return
        identity = load_identity(folder)
        if not self._keys:
            self._keys = [self._make(identity)]
        # It was taken over now, or by a start that was killed before it came so far. Any other key
        # there is none of this node, and is left alone.
        if any(identity.public_key == key.identity.public_key for key in self._keys):
            gone = self._folder / ".0"
            make_folder(gone)
            # In this order: a public key that is missing is made again, if this is interrupted.
            for name in (PUBLIC_FILE, PRIVATE_FILE):
                (folder / name).rename(gone / name)
            sync_folder(folder)
            self._destroy(gone)

    def _clear(self) -> None:
        """Destroy all keys on the disk that aren't in use."""
        if self._folder is None:
            return
        used = {str(key.number) for key in self._keys}
        for path in sorted(self._folder.iterdir()):  # names with a dot first
            if path.name not in used and path.name.removeprefix(".").isdecimal():
                self._destroy(path)

    def _destroy(self, path: Path) -> None:
        # Under another name first: no start may find half of it.
        gone = path.rename(path.with_name(f".{path.name.removeprefix('.')}"))
        sync_folder(gone.parent)
        for file in gone.iterdir():
            # Tags are hashes, with a salt that goes with them, and can have megabytes.
            if file.suffix == ".tags":
                file.unlink()
            else:
                destroy_file(file)
        gone.rmdir()
        sync_folder(gone.parent)


def _numbers(folder: Path) -> list[int]:
    """The numbers of all keys that are there. Raises OSError."""
    return [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]


def load_token_key(folder: Path | None) -> Secret:
    """The key of a provider's tokens, which stays; it is made at the first call.

    In a folder of an earlier version, tokens are made with its only key. So this comes before a
    Keyring takes that over: tokens that clients have stay valid. Raises IdentityError.
    """
    if folder is None:
        return random_scalar()
    path = folder / TOKENS_FILE
    with os_errors_as(IdentityError, f"{path} can't be used"):
        make_folder(folder)
        if not exists(path):
            is_taken_over = has_identity(folder)
            secret = load_identity(folder).private_key if is_taken_over else random_scalar()
            write_pem(path, _LABEL, secret)
    return read_pem(path, _LABEL, "it was there a moment ago; start the node again")


class _Notes:
    """Readings of the clocks, one file for each; see nym.store.clock.

    A disk that is full doesn't stop a clock: `error` is that of the last attempt to write.
    """

    def __init__(self, folder: Path | None) -> None:
        self.error: OSError | None = None
        self._folder = folder
        if folder is not None:
            make_folder(folder)
            for partial in folder.glob(".*"):  # of an attempt to write that was killed
                partial.unlink()

    def get(self, name: str) -> bytes | None:
        """See nym.store.clock.Notes."""
        if self._folder is None:
            return None
        try:
            content = (self._folder / name).read_bytes()
            Kept(*json.loads(content))
        except FileNotFoundError:
            return None
        except (TypeError, ValueError):
            log.warning("%s is damaged; the keys count as new ones", self._folder / name)
            return None
        return content

    def set(self, name: str, value: bytes) -> None:
        """See nym.store.clock.Notes."""
        if self._folder is None:
            return
        try:
            write_file(self._folder / name, value)
        except OSError as error:
            self.error = error
        else:
            self.error = None
