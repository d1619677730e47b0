"""A provider moves to another machine in one file: all of it, or nothing."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from nym.errors import ArchiveError, StoreError
from nym.nodes import archive, moving
from nym.nodes.archive import File, Part, Record, Writer
from nym.nodes.inboxes import transfer
from nym.nodes.inboxes.local import open_stored
from nym.nodes.inboxes.places import open_at
from nym.nodes.inboxes.stored import StoredInboxes
from nym.nodes.inboxes.transfer import Client, Item, Last, Proven, Waiting
from nym.nodes.moving import export_provider, import_provider
from tests.harness import Program, run_program, wait_until
from tests.postgres import Postgres

ALICE, BOB, CAROL = (bytes([number]) * 32 for number in (1, 2, 3))
OPTIONS = ("--listen", "127.0.0.1:0", "--clients", "127.0.0.1:0", "--directory", "http://[::1]:1")
FILES = ("config.toml", "identity.pem", "tokens.pem", "keys/1/private.pem", "keys/clocks/age")


def start(home: Path, name: str) -> None:
    """Start a provider, and stop it once it listens: this makes its folder."""
    with Program(home, "provider", "--id", name, *OPTIONS) as program:
        program.line("^clients")
        wait_until((home / "nym" / "providers" / name / "config.toml").exists)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has a provider "old" with clients and messages."""
    home = tmp_path_factory.mktemp("home")
    start(home, "old")
    with closing(open_stored(home / "nym" / "providers" / "old")) as inboxes:
        inboxes.open(ALICE)
        inboxes.open(BOB, is_proven=True)
        inboxes.open(CAROL)
        for number in range(7):
            inboxes.put(ALICE, b"%d" % number)
        inboxes.take(ALICE, 2)
        inboxes.put(BOB, bytes(2000))
        inboxes.put(CAROL, b"last")
        inboxes.take(CAROL, 1)  # so that the highest number is none of a message
    return home


@pytest.fixture
def old(home: Path) -> Path:
    return home / "nym" / "providers" / "old"


@pytest.fixture
def packed(old: Path, tmp_path: Path) -> Path:
    path = tmp_path / "packed"
    assert export_provider(old, open_stored, path) == 3
    return path


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "AT_ONCE", 2)
    monkeypatch.setattr(moving, "_CHUNK", 64)


def state(folder: Path) -> tuple[object, ...]:
    """All that is in the inboxes."""
    with closing(open_stored(folder)) as inboxes:
        waiting = {client: inboxes.hand_over(client, [], 100) for client in inboxes.clients()}
        proven = [inboxes.is_proven(client) for client in (ALICE, BOB, CAROL)]
        return inboxes.clients(), inboxes.count(), proven, waiting


def test_everything_arrives(home: Path, old: Path, packed: Path, tmp_path: Path) -> None:
    new = tmp_path / "providers" / "new"
    assert import_provider(packed, new) == 3
    assert state(new) == state(old)
    assert packed.stat().st_mode & 0o777 == 0o600
    for name in FILES[1:]:
        assert (new / name).read_bytes() == (old / name).read_bytes()
    for path in new.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
    assert 'id = "new"' in (new / "config.toml").read_text()
    with closing(open_stored(new)) as inboxes:
        (last,) = [number for number, message in inboxes.hand_over(BOB, [], 1)]
        inboxes.put(BOB, b"next")
        assert inboxes.hand_over(BOB, [], 2)[1].number > last + 1  # Carol's had the one between
        for _ in range(4):
            inboxes.put(ALICE, b"")
        assert inboxes.count() == 5 + 1 + 1 + 4
    assert [path.name for path in new.parent.iterdir()] == ["new"]


def test_ages_move_and_times_do_not(packed: Path, tmp_path: Path) -> None:
    with packed.open("rb") as file:
        ages = [one.age for one in archive.read(file) if isinstance(one, (Client, Waiting))]
    assert len(ages) == 3 + 6
    assert max(ages) < 10_000


def test_each_cut_and_each_changed_byte_is_noticed(packed: Path, tmp_path: Path) -> None:
    content = packed.read_bytes()
    bad = tmp_path / "bad"
    places = [0, 1, 21, 22, 23, 26, 27, 30, *range(40, len(content), 97), len(content) - 1]
    for place in places:
        changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        for data in (content[:place], changed):
            bad.write_bytes(data)
            with pytest.raises(ArchiveError):
                import_provider(bad, tmp_path / "providers" / "new")
    bad.write_bytes(content + b"\0")
    with pytest.raises(ArchiveError):
        import_provider(bad, tmp_path / "providers" / "new")
    assert not (tmp_path / "providers").exists()


@pytest.mark.parametrize(
    "path", ["../private.pem", "/etc/passwd", "keys/../identity.pem", "keys/1/../x", ".ssh", ""]
)
def test_no_file_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    packed = tmp_path / "packed"
    with packed.open("wb") as file:
        writer = Writer(file)
        for record in (File(path), Part(b"evil")):
            writer.write(record)
        writer.end()
    with pytest.raises(ArchiveError, match="no provider has"):
        import_provider(packed, tmp_path / "providers" / "new")
    assert list((tmp_path / "providers").iterdir()) == []


def test_records_are_what_they_were() -> None:
    records: list[Record] = [
        File("keys/1/private.pem"),
        Part(b""),
        Client(ALICE, 3),
        Proven(BOB),
        Waiting(1 << 62, ALICE, 7, b"message"),
        Last(1 << 63),
    ]
    file = io.BytesIO()
    writer = Writer(file)
    for record in records:
        writer.write(record)
    writer.end()
    file.seek(0)
    assert list(archive.read(file)) == records


@pytest.mark.parametrize("body", [b"", b"C\0\0\0\1x", b"?\0\0\0\0", b"C\xff\xff\xff\xff"])
def test_records_that_nobody_writes_are_refused(body: bytes) -> None:
    with pytest.raises(ArchiveError):
        list(archive.read(io.BytesIO(b"nym-client provider 1\n" + body)))


def test_a_part_without_a_file_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    with packed.open("wb") as file:
        writer = Writer(file)
        writer.write(Part(b""))
        writer.end()
    with pytest.raises(ArchiveError, match="has no file"):
        import_provider(packed, tmp_path / "new")


def test_nothing_is_left_of_an_export_or_import_that_fails(
    old: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> Iterator[object]:
        yield Client(bytes(range(32)), 0)
        raise StoreError("the disk is full")

    def breaks(inboxes: StoredInboxes, items: Iterator[object]) -> None:
        next(items)
        raise StoreError("the disk is full")

    monkeypatch.setattr(transfer, "read", fails)
    monkeypatch.setattr(transfer, "write", breaks)
    with pytest.raises(StoreError):
        export_provider(old, open_stored, tmp_path / "half")
    assert not (tmp_path / "half").exists()
    with pytest.raises(StoreError):
        import_provider(packed, tmp_path / "providers" / "new")
    assert list((tmp_path / "providers").iterdir()) == []


def test_a_database_is_filled_from_empty_or_stays_as_it_was(
    packed: Path, tmp_path: Path, postgres: Postgres
) -> None:
    store, providers = postgres.url(postgres.database()), tmp_path / "providers"
    with packed.open("rb") as file:
        items = [one for one in archive.read(file) if not isinstance(one, (File, Part))]

    def breaks() -> Iterator[Item]:
        yield from items[:5]
        raise StoreError("the disk is full")

    with closing(open_at(store, tmp_path)) as inboxes:
        with pytest.raises(StoreError, match="disk is full"):
            transfer.write(inboxes, breaks())
        assert list(transfer.read(inboxes)) == [Last(0)]
    assert import_provider(packed, providers / "first", store) == 3
    with pytest.raises(StoreError, match="has clients already"):
        import_provider(packed, providers / "second", store)
    assert [path.name for path in providers.iterdir()] == ["first"]
    with closing(open_at(store, tmp_path)) as inboxes:
        assert (len(inboxes), inboxes.count()) == (3, 6)


def test_a_provider_moves_to_postgresql_and_back(
    old: Path, packed: Path, tmp_path: Path, postgres: Postgres
) -> None:
    store = postgres.url(postgres.database())
    there, back = tmp_path / "providers" / "there", tmp_path / "providers" / "back"
    assert import_provider(packed, there, store) == 3
    assert f'store = "{store}"' in (there / "config.toml").read_text()
    assert not (there / "inboxes.db").exists()
    again = tmp_path / "again"
    assert export_provider(there, partial(open_at, store), again) == 3
    assert import_provider(again, back) == 3
    assert 'store = ""' in (back / "config.toml").read_text()
    assert state(back) == state(old)


def test_the_commands_never_overwrite_and_say_what_to_do(home: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    code, out, err = run_program(home, "provider", "export", "--id", "old", path)
    assert (code, err) == (0, "")
    assert "with its keys and 3 clients. Don't start it here again" in out
    before = Path(path).read_bytes()
    code, _, err = run_program(home, "provider", "export", "--id", "old", path)
    assert (code, err) == (1, f"nym-client: {path} can't be written: File exists\n")
    assert Path(path).read_bytes() == before
    code, _, err = run_program(home, "provider", "import", "--id", "old", path)
    assert code == 5
    assert 'there is a provider "old" already' in err
    other = tmp_path / "other"
    code, out, err = run_program(other, "provider", "import", "--id", "new", path)
    assert (code, err) == (0, "")
    assert "with 3 clients; start it with: nym-client provider --id new" in out
    code, _, err = run_program(other, "provider", "import", "--id", "new2", os.devnull)
    assert code == 1
    assert "can't be imported" in err
    start(other, "new")


def test_export_says_what_is_there_and_how_a_provider_is_made(home: Path, tmp_path: Path) -> None:
    export = ("provider", "export", str(tmp_path / "file"), "--id")
    code, _, err = run_program(home, *export, "odl")
    assert code == 5
    assert re.search('no provider "odl" in .*/providers .there are: old.; make it', err)
    assert err.endswith("with: nym-client provider --id odl\n")
    run_program(home, "init", "--id", "alice")
    code, _, err = run_program(home, *export, "alice")
    assert code == 5
    assert err == 'nym-client: "alice" is a client, and this command is for providers\n'


def test_a_provider_that_runs_is_not_exported(home: Path, tmp_path: Path) -> None:
    with Program(home, "provider", "--id", "old") as program:
        program.line("^clients")
        code, _, err = run_program(
            home, "provider", "export", "--id", "old", str(tmp_path / "file")
        )
    assert code != 0
    assert "is already using" in err
    assert not (tmp_path / "file").exists()
