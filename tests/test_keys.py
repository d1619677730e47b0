"""A node's keys: how they change, what is destroyed then, and what is there after any end.

The clocks are set by the tests. Only the tests with nodes use seconds of the machine.
"""

import gc
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nym.config.nodes import KeySettings
from nym.errors import (
    GroupElementError,
    IdentityError,
    LengthError,
    MacError,
    NymError,
    ReplayedError,
    StoreError,
)
from nym.identity import Identity, generate_identity, load_identity, save_identity
from nym.nodes import keys as keys_module
from nym.nodes import replays as replays_module
from nym.nodes.keys import Keyring, load_token_key
from nym.sphinx import Final, Forward, Hop, create_packet, public_key
from nym.store.clock import LONGEST_PAUSE
from tests.harness import SmallDisk

CLIENT = bytes(range(1, 33))
LIFETIME, OVERLAP = 1000.0, 100.0


class Machine:
    """The clocks of a machine, and the keys of a node on it."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.boot = 1
        self.since_boot = 50.0
        self.wall = 1.7e9
        self.keys = self.start()

    def start(self) -> Keyring:
        """Start the node, without an end of the one before: that was killed."""
        self.keys = Keyring(
            self.folder,
            LIFETIME,
            OVERLAP,
            boot=lambda: str(self.boot),
            since_boot=lambda: self.since_boot,
            wall=lambda: self.wall,
        )
        return self.keys

    def run(self, seconds: float) -> None:
        """Let time pass; the node looks once at its end."""
        self.since_boot += seconds
        self.wall += seconds
        self.keys.turn()

    def reboot(self, wall: float = 0.0) -> None:
        """Lose the power, and start again, with the wall clock set so far ahead or back."""
        self.boot += 1
        self.since_boot = 20.0
        self.wall += wall
        self.start()

    @property
    def current(self) -> bytes:
        return self.keys.current.public_key

    def opens(self, key: bytes) -> bool:
        """Whether a packet that is made now for this key would be taken."""
        return isinstance(self.take(packet_for(key)), Final)

    def take(self, packet: bytes) -> Forward | Final | NymError:
        """What becomes of a packet."""
        (outcome,) = self.keys.unwrap([packet])
        return outcome


def packet_for(key: bytes) -> bytes:
    return create_packet(b"hello", [Hop(bytes(32), key, 0)], CLIENT)


@pytest.fixture(params=["folder", "memory"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path if request.param == "folder" else None)
    yield machine
    machine.keys.close()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.keys.close()


def test_a_key_is_followed_by_another_and_accepted_for_a_while(machine: Machine) -> None:
    first = machine.current
    machine.run(LIFETIME - 1)
    assert machine.current == first
    machine.run(1)
    second = machine.current
    assert second != first
    assert machine.opens(first)
    assert machine.opens(second)
    machine.run(OVERLAP - 1)
    assert machine.opens(first)
    machine.run(1)
    assert not machine.opens(first)
    assert machine.opens(second)
    machine.run(LIFETIME - OVERLAP)
    assert machine.current not in (first, second)


def test_each_packet_is_taken_once_whichever_key_it_is_for(machine: Machine) -> None:
    early = packet_for(machine.current)
    late = packet_for(machine.current)
    assert isinstance(machine.take(early), Final)
    machine.run(LIFETIME)
    assert isinstance(machine.take(early), ReplayedError)
    assert isinstance(machine.take(late), Final)
    assert isinstance(machine.take(late), ReplayedError)
    machine.run(OVERLAP)
    for packet in (early, late):
        assert isinstance(machine.take(packet), MacError)


def test_packets_that_come_together_have_an_outcome_each(machine: Machine) -> None:
    early = packet_for(machine.current)
    machine.run(LIFETIME)
    late = packet_for(machine.current)
    other = packet_for(generate_identity().public_key)
    outcomes = machine.keys.unwrap([late, other, early, late, b"short", early, bytes(1372)])
    kinds = [Final, MacError, Final, ReplayedError, LengthError, ReplayedError, GroupElementError]
    assert [type(outcome) for outcome in outcomes] == kinds
    assert machine.keys.unwrap([]) == []


def test_the_defaults_are_those_of_the_documents() -> None:
    assert (KeySettings.lifetime, KeySettings.overlap) == (24 * 3600, 3600)


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_after_the_overlap_nothing_on_the_disk_or_in_memory_opens_a_recorded_packet(
    kept: Machine, tmp_path: Path
) -> None:
    first = kept.current
    pem = (tmp_path / "keys" / "1" / "private.pem").read_bytes()
    text = pem.splitlines()[1]
    descriptor = os.open(tmp_path / "keys" / "1" / "private.pem", os.O_RDONLY)
    recorded = packet_for(first)
    kept.run(LIFETIME)
    assert text in all_bytes(tmp_path)
    kept.run(OVERLAP)
    assert text not in all_bytes(tmp_path)
    assert not (tmp_path / "keys" / "1").exists()
    # Not only without a name: there are zeros in the place of what was there.
    assert os.read(descriptor, 1000) == bytes(len(pem))
    os.close(descriptor)
    for path in tmp_path.rglob("private.pem"):
        assert load_identity(path.parent).public_key != first
    assert first not in secrets_in_memory()
    for _ in range(2):
        assert isinstance(kept.take(recorded), MacError)
        kept.start()


def secrets_in_memory() -> set[bytes]:
    """The public keys of all key pairs that this process has."""
    return {public_key(found.private_key) for found in gc.get_objects() if type(found) is Identity}


# Across starts.


def test_keys_and_their_ages_outlast_a_kill(kept: Machine) -> None:
    first, taken = kept.current, packet_for(kept.current)
    assert isinstance(kept.take(taken), Final)
    kept.run(LIFETIME - 10)
    kept.start()
    assert kept.current == first
    assert isinstance(kept.take(taken), ReplayedError)
    kept.run(10)
    assert kept.current != first
    kept.start()
    assert isinstance(kept.take(taken), ReplayedError)
    assert kept.opens(first)
    kept.run(OVERLAP)
    assert not kept.opens(first)


def test_a_pause_counts_for_the_age_and_not_for_the_overlap(kept: Machine) -> None:
    first = kept.current
    kept.run(LIFETIME)
    second = kept.current
    kept.reboot(wall=LIFETIME)
    kept.run(0)
    assert kept.current == second, "a key follows while the one before is still accepted"
    assert kept.opens(first)
    kept.run(OVERLAP)
    assert not kept.opens(first)
    assert kept.current != second
    assert kept.opens(second)


@pytest.mark.parametrize("jump", [-1e9, -LIFETIME, LIFETIME, LONGEST_PAUSE, 1e9])
def test_whatever_the_wall_clock_says_a_key_is_accepted_after_its_end_and_has_one(
    kept: Machine, jump: float
) -> None:
    first = kept.current
    kept.run(10)
    kept.wall += jump
    kept.run(0)
    assert kept.current == first, "a wall clock that is set while the node runs counts"
    kept.reboot(jump)
    kept.run(0)
    assert kept.opens(first)
    kept.run(LIFETIME)
    assert kept.current != first
    kept.run(OVERLAP)
    assert not kept.opens(first)


class AnyLife(RuleBasedStateMachine):
    """Whatever happens to a machine, keys are accepted for long enough, and none for ever."""

    def __init__(self) -> None:
        super().__init__()
        # The machine that these tests run on isn't the one that loses its power.
        self.quick = patch("os.fsync")
        self.quick.start()
        self.folder = TemporaryDirectory()
        self.machine = Machine(Path(self.folder.name))
        self.ran = 0.0
        self.reboots = 0
        # When each key was first and last announced, in seconds in which the machine ran.
        self.announced: dict[bytes, tuple[float, float]] = {}
        self.note()

    def note(self) -> None:
        first, _ = self.announced.get(self.machine.current, (self.ran, 0.0))
        self.announced[self.machine.current] = first, self.ran

    @rule(seconds=st.sampled_from([0.0, 1.0, 59.0, OVERLAP, LIFETIME / 3, LIFETIME, 3 * LIFETIME]))
    def run(self, seconds: float) -> None:
        while True:
            # Readings since 1970 have no finer resolution than that.
            step = min(seconds, self.machine.keys._rest() + 1e-6)
            self.note()
            self.ran += step
            self.machine.run(step)
            seconds -= step
            if seconds <= 0:
                break
        self.note()

    @rule()
    def is_killed(self) -> None:
        self.machine.start()
        self.note()

    @rule(jump=st.sampled_from([-1e9, -60.0, 0.0, 60.0, LIFETIME, LONGEST_PAUSE, 1e9]))
    def loses_its_power(self, jump: float) -> None:
        self.reboots += 1
        self.machine.reboot(jump)
        self.note()

    @rule(jump=st.floats(-1e9, 1e9))
    def somebody_sets_the_clock(self, jump: float) -> None:
        self.machine.wall += jump

    @invariant()
    def what_was_announced_lately_is_accepted(self) -> None:
        for key, (_, last) in self.announced.items():
            assert self.machine.opens(key) or self.ran - last >= OVERLAP

    @invariant()
    def no_key_lives_for_ever(self) -> None:
        # What the machine ran before it lost its power may not be counted, up to a minute.
        longest = LIFETIME + OVERLAP + keys_module.NOTE_EVERY * self.reboots + 1e-3
        for key, (first, _) in list(self.announced.items()):
            if self.ran - first > longest:
                assert not self.machine.opens(key)
                del self.announced[key]

    @invariant()
    def there_are_one_or_two_keys(self) -> None:
        names = {path.name for path in (Path(self.folder.name) / "keys").iterdir()} - {"clocks"}
        assert len(names) in (1, 2)
        assert all(name.isdecimal() for name in names)

    def teardown(self) -> None:
        self.machine.keys.close()
        self.folder.cleanup()
        self.quick.stop()


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)


KILLED = """
import os, shutil, signal, sys
from itertools import count
from pathlib import Path
from nym.nodes import keys
from tests.test_keys import LIFETIME, OVERLAP, Machine, packet_for

events = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.listdir", "os.scandir"}
os.fsync = lambda descriptor: None  # the process is killed, not the machine
keys.beside_the_hub = lambda function, *arguments: function(*arguments)
root = Path(sys.argv[1])

def live(folder, announce):
    machine = Machine(folder)
    announce(machine.current)
    for seconds in (LIFETIME, OVERLAP):
        machine.run(seconds)
        announce(machine.current)

for moment in count(1):
    folder = root / str(moment)
    if sys.argv[2] == "old":
        shutil.copytree(root / "old", folder)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        left = moment
        def hook(event, arguments):
            global left
            if event in events and str(folder) in str(arguments[0]):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        live(folder, lambda key: os.write(writing, key))
        os._exit(0)
    os.close(writing)
    said = os.fdopen(reading, "rb").read()
    announced = [said[i : i + 32] for i in range(0, len(said), 32)]
    is_over = os.waitpid(child, 0)[1] == 0
    machine = Machine(folder)
    assert not announced or machine.opens(announced[-1]), moment
    before = machine.current
    machine.run(LIFETIME + OVERLAP)
    machine.run(OVERLAP)
    assert machine.current != before and not machine.opens(before), moment
    names = {path.name for path in (folder / "keys").iterdir()}
    assert len(names) <= 3 and not [name for name in names if name[0] == "."], (moment, names)
    assert not (folder / "private.pem").exists(), moment
    assert not [path for path in (folder / "keys" / "clocks").iterdir() if path.name[0] == "."]
    if is_over:
        break
print(moment)
"""


@pytest.mark.parametrize("kind", ["new", "old"])
def test_whenever_the_process_is_killed_the_next_start_has_a_usable_key(
    tmp_path: Path, kind: str
) -> None:
    save_identity(generate_identity(), tmp_path / "old")
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), kind],
        check=True,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    assert int(ran.stdout) > 50, "it wasn't killed at many moments"


def test_what_no_node_wrote_is_left_alone(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    (tmp_path / "keys" / "notes.txt").write_text("mine")
    machine.run(LIFETIME)
    machine.run(OVERLAP)
    machine.start()
    assert (tmp_path / "keys" / "notes.txt").read_text() == "mine"
    machine.keys.close()


@pytest.mark.parametrize("name", ["keys/1/begun.json", "keys/clocks/age", "keys/clocks/run"])
@pytest.mark.parametrize("content", [None, b"", b"[1]", b"\xff"])
def test_without_the_notes_of_its_age_a_key_counts_as_new(
    kept: Machine, tmp_path: Path, name: str, content: bytes | None
) -> None:
    first = kept.current
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    kept.wall += 1000 * LIFETIME
    kept.start()
    assert kept.current == first
    kept.run(LIFETIME)
    kept.run(OVERLAP)
    assert kept.current != first
    assert not kept.opens(first)


def test_a_damaged_key_is_an_error(kept: Machine, tmp_path: Path) -> None:
    (tmp_path / "keys" / "1" / "private.pem").write_text("nothing")
    with pytest.raises(IdentityError, match=r"keys/1/private\.pem can't be read as a key"):
        kept.start()


def test_the_files_are_for_the_owner_alone(kept: Machine, tmp_path: Path) -> None:
    load_token_key(tmp_path)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o600}
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_dir()}
    assert modes == {0o700}


# Full tables, full disks.


def test_a_key_whose_tables_are_full_is_followed_at_once_and_the_one_before_ends(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(replays_module, "SIZES", (1 << 13,))

    def fill() -> None:
        replays = machine.keys._keys[0].replays
        while not replays.is_full:
            replays.is_new(os.urandom(16))

    keys = [machine.current]
    for _ in range(3):
        fill()
        # Noticed at a packet, long before the next look.
        assert machine.opens(machine.current)
        assert machine.keys._is_due.is_set()
        machine.run(0)
        keys.append(machine.current)
    assert len(set(keys)) == 4
    assert [machine.opens(key) for key in keys] == [False, False, True, True]
    assert machine.keys.ended_early == 2
    assert caplog.text.count("a key ended 100 s early") == 1


def test_a_full_disk_is_said_once_and_the_key_stays(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(disk.folder / "node")
    first = machine.current
    disk.fill()
    for _ in range(3):
        machine.run(LIFETIME)
        assert machine.current == first
        assert machine.opens(first)
    assert caplog.text.count("No space left on device; this node keeps its key") == 1
    disk.empty()
    machine.run(0)
    assert machine.current != first
    assert machine.opens(first)
    machine.run(OVERLAP)
    machine.start()
    assert not machine.opens(first)
    machine.keys.close()


def test_on_a_full_disk_a_key_ends_all_the_same(disk: SmallDisk) -> None:
    machine = Machine(disk.folder / "node")
    first = machine.current
    machine.run(LIFETIME)
    disk.fill()
    machine.run(OVERLAP)
    assert not machine.opens(first)
    machine.start()
    assert not machine.opens(first)
    machine.keys.close()


def test_no_packet_is_taken_twice_when_tables_are_full_and_no_key_can_follow(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays_module, "SIZES", (1 << 13,))
    machine = Machine(disk.folder / "node")
    disk.fill()
    packet = packet_for(machine.current)
    assert isinstance(machine.take(packet), Final)
    replays = machine.keys._keys[0].replays
    with suppress(StoreError):
        while True:
            replays.is_new(os.urandom(16))
    machine.run(0)
    assert isinstance(machine.take(packet), ReplayedError)
    refused = machine.take(packet_for(machine.current))
    assert isinstance(refused, StoreError)
    assert "until this node has a new key" in str(refused)
    disk.empty()
    machine.run(0)
    assert machine.opens(machine.current)
    assert isinstance(machine.take(packet), ReplayedError)
    machine.keys.close()


# Folders of earlier versions, and tokens.


def test_the_only_key_of_an_earlier_folder_is_taken_over(tmp_path: Path) -> None:
    identity = generate_identity()
    save_identity(identity, tmp_path)
    tokens = load_token_key(tmp_path)
    machine = Machine(tmp_path)
    assert tokens == identity.private_key, "tokens that clients have are no longer valid"
    assert machine.current == identity.public_key
    assert not (tmp_path / "private.pem").exists()
    assert not (tmp_path / "public.pem").exists()
    machine.run(LIFETIME)
    machine.run(OVERLAP)
    assert not machine.opens(identity.public_key)
    assert load_token_key(tmp_path) == tokens
    machine.keys.close()


def test_a_key_that_is_not_this_nodes_is_neither_taken_nor_destroyed(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    current, other = machine.current, generate_identity()
    save_identity(other, tmp_path)
    machine.start()
    assert machine.current == current
    assert load_identity(tmp_path) == other
    machine.keys.close()


def test_the_key_of_tokens_stays_and_is_its_own(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    key = load_token_key(tmp_path)
    assert key != machine.keys.current.private_key
    assert key == load_token_key(tmp_path)
    assert load_token_key(None) != load_token_key(None)
    (tmp_path / "tokens.pem").write_text("x")
    with pytest.raises(IdentityError, match=r"tokens\.pem can't be read as a key"):
        load_token_key(tmp_path)
    machine.keys.close()
