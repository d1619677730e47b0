"""The database: sealed against other users, locked, repaired after damage, usable on a full disk.

Damage is done to bytes of real files. A full disk is a small file system (for root), or a limit on
SQLite's pages.
"""

import errno
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nym.errors import FolderError, FolderInUseError, StoreError
from nym.store.database import Change
from nym.store.journal import Journal
from nym.store.reserve import SIZE, Reserve
from nym.wire.pieces import Message, Pieces, gather
from tests.harness import SmallDisk

KEY = bytes(32)
SECRET = b"nobody else may read this"


def reopen(journal: Journal, folder: Path, key: bytes = KEY) -> Journal:
    journal.close()
    return Journal(folder, key)


def test_the_file_is_its_owners_and_tells_nothing(journal: Journal, tmp_path: Path) -> None:
    journal.write([Change("a", "1", SECRET)])
    for path in tmp_path.glob("client.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert SECRET not in path.read_bytes()
    journal.close()
    assert SECRET not in (tmp_path / "client.db").read_bytes()


def test_a_second_client_on_the_folder_is_refused(journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(FolderInUseError, match="another nym-client is already using"):
        Journal(tmp_path, KEY)
    program = (
        "import sys; from pathlib import Path; from nym.store.journal import Journal;"
        "from nym.errors import FolderError, FolderInUseError\n"
        "try: Journal(Path(sys.argv[1]), bytes(32))\n"
        "except FolderInUseError: print('refused')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=False,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert ran.stdout == b"refused\n", f"a second client was not refused: {ran.stderr!r}"
    reopen(journal, tmp_path).close()


def damaged(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("client.db.damaged-*"))


@pytest.mark.parametrize("content", [b"garbage", os.urandom(10_000), b"SQLite format 3\0" * 500])
def test_a_file_that_is_none_is_set_aside_and_a_fresh_one_begun(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (tmp_path / "client.db").write_bytes(content)
    journal = Journal(tmp_path, KEY)
    (aside,) = damaged(tmp_path)
    assert (tmp_path / aside).read_bytes() == content
    assert aside in caplog.text
    journal.write([Change("a", "1", b"one")])
    again = reopen(journal, tmp_path)
    assert again.take("a") == [("1", b"one")]
    again.close()


def test_a_file_whose_schema_is_no_text_is_set_aside(journal: Journal, tmp_path: Path) -> None:
    journal.close()
    file = tmp_path / "client.db"
    content = file.read_bytes()
    # SQLite's error has this name in it.
    broken = content.replace(b"tableentryentry", b"table\x87ntryentry")
    broken = broken.replace(b"CREATE TABLE entry", b"CREATE TABLX entry")
    assert broken != content
    file.write_bytes(broken)
    again = Journal(tmp_path, KEY)
    (aside,) = damaged(tmp_path)
    assert (tmp_path / aside).read_bytes() == broken
    assert again.take("a") == []
    again.close()


def test_what_can_be_read_of_a_damaged_file_is_kept(journal: Journal, tmp_path: Path) -> None:
    for i in range(400):
        journal.put("a", str(i), bytes([i % 256]) * 1000)
    journal.close()
    file = tmp_path / "client.db"
    pages = bytearray(file.read_bytes())
    middle = len(pages) // 2 // 4096 * 4096
    pages[middle : middle + 4096] = os.urandom(4096)
    file.write_bytes(pages)
    again = Journal(tmp_path, KEY)
    kept = again.take("a")
    assert len(kept) > 100
    assert all(body == bytes([int(entry_id) % 256]) * 1000 for entry_id, body in kept)
    assert len(damaged(tmp_path)) == 1
    third = reopen(again, tmp_path)
    assert third.take("a") == kept
    assert len(damaged(tmp_path)) == 1
    third.close()


def test_entries_that_were_changed_or_exchanged_are_none(journal: Journal, tmp_path: Path) -> None:
    for number in "1234":
        journal.put("a", number, b"body " + number.encode())
    journal.close()
    connection = sqlite3.connect(tmp_path / "client.db")
    with connection:
        bodies = dict(connection.execute("SELECT id, body FROM entry"))
        for entry_id, body in (("1", bodies["2"]), ("2", bodies["1"]), ("3", 7)):
            connection.execute("UPDATE entry SET body = ? WHERE id = ?", (body, entry_id))
    connection.close()
    again = Journal(tmp_path, KEY)
    assert again.take("a") == [("4", b"body 4")]
    assert len(damaged(tmp_path)) == 1
    again.close()


def test_under_another_key_nothing_is_read_and_nothing_deleted(
    journal: Journal, tmp_path: Path
) -> None:
    journal.write([Change("a", "1", b"one")])
    other = reopen(journal, tmp_path, key=b"k" * 32)
    assert other.take("a") == []
    other.close()
    assert damaged(tmp_path) == []
    (aside,) = [path.name for path in tmp_path.glob("client.db.other-keys-*")]
    (tmp_path / aside).rename(tmp_path / "client.db")
    again = Journal(tmp_path, KEY)
    assert again.take("a") == [("1", b"one")]
    again.close()


def test_a_newer_versions_file_is_left_alone(journal: Journal, tmp_path: Path) -> None:
    journal.close()
    connection = sqlite3.connect(tmp_path / "client.db")
    connection.execute("PRAGMA user_version = 5")
    connection.close()
    with pytest.raises(StoreError, match="newer version"):
        Journal(tmp_path, KEY)
    assert damaged(tmp_path) == []


def test_a_folder_that_cannot_be_used_is_an_error_with_a_name(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"client\.db can't be opened"):
        Journal(tmp_path / "missing", KEY)
    (tmp_path / "client.db").mkdir()
    with pytest.raises(StoreError, match=r"client\.db can't be"):
        Journal(tmp_path, KEY)


def entries(journal: Journal) -> list[tuple[str, bytes]]:
    return journal.take_short("a")


def filled(journal: Journal, count: int) -> None:
    journal.write([Change("a", f"{i:03}", bytes(700)) for i in range(count)])


def pages(path: Path) -> list[int]:
    """Where pages with entries begin; 0x0D marks a leaf of a table's tree."""
    content = path.read_bytes()
    return [at for at in range(0, len(content), 4096) if at and content[at] == 0x0D]


@pytest.mark.parametrize("which", [0, 10, -1])
def test_a_damaged_page_costs_its_own_entries(journal: Journal, tmp_path: Path, which: int) -> None:
    filled(journal, 200)
    journal.close()
    path = tmp_path / "client.db"
    content = bytearray(path.read_bytes())
    content[pages(path)[which]] = 0xFF
    path.write_bytes(content)
    again = Journal(tmp_path, KEY)
    there = entries(again)
    again.close()
    assert 200 - 6 <= len(there) < 200  # a page of 4 KiB has about five of these entries
    assert there == sorted(there)
    assert len(damaged(tmp_path)) == 1


@pytest.mark.parametrize("at", [44, 60, 95])
def test_a_damaged_head_is_damage_and_no_reason_not_to_start(
    journal: Journal, tmp_path: Path, at: int
) -> None:
    filled(journal, 5)
    journal.close()
    path = tmp_path / "client.db"
    content = bytearray(path.read_bytes())
    content[at : at + 4] = b"\xee" * 4
    path.write_bytes(content)
    again = Journal(tmp_path, KEY)
    again.write([Change("a", "new", b"")])
    again.close()
    assert at == 95 or len(damaged(tmp_path)) == 1


def test_an_index_that_lies_is_damage(journal: Journal, tmp_path: Path) -> None:
    filled(journal, 5)
    journal.close()
    path = tmp_path / "client.db"
    content = bytearray(path.read_bytes())
    index = next(at for at in range(0, len(content), 4096) if content[at] == 0x0A)
    content[content.index(b"003", index)] ^= 1
    path.write_bytes(content)
    again = Journal(tmp_path, KEY)
    assert len(entries(again)) == 5
    again.drop("a", "003")
    again.flush()
    again.close()
    third = Journal(tmp_path, KEY)
    assert [entry_id for entry_id, _ in entries(third)] == ["000", "001", "002", "004"]
    third.close()
    assert len(damaged(tmp_path)) == 1


def test_a_name_that_is_no_text_is_one_entrys_damage(journal: Journal, tmp_path: Path) -> None:
    filled(journal, 3)
    journal._database._connection.execute(
        "UPDATE entry SET id = CAST(x'ff' AS TEXT) WHERE id = '001'"
    )
    journal._database._connection.commit()
    again = reopen(journal, tmp_path)
    assert [entry_id for entry_id, _ in entries(again)] == ["000", "002"]
    again.close()


def test_an_empty_file_is_said_to_be_one(
    journal: Journal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal.close()
    (tmp_path / "client.db").write_bytes(b"")
    Journal(tmp_path, KEY).close()
    assert "it is empty" in caplog.text


# Full disks.


def test_what_has_to_be_noted_is_noted_on_a_full_disk_and_nothing_else(disk: SmallDisk) -> None:
    journal = Journal(disk.folder, KEY)
    filled(journal, 5)
    disk.fill()
    with pytest.raises(StoreError):
        journal.write([Change("a", "asked", bytes(300_000))])
    for i in range(20):
        journal.put("a", f"due {i}", bytes(700))
        journal.flush()
    with pytest.raises(StoreError, match="no room"):
        journal.check_room()
    with pytest.raises(StoreError, match="no room"):
        journal.write([Change("a", "asked", b"")])
    journal.close()
    full = Journal(disk.folder, KEY)
    assert len(entries(full)) == 25
    with pytest.raises(StoreError, match="no room"):
        full.check_room()
    full.close()
    disk.empty()
    roomy = Journal(disk.folder, KEY)
    roomy.check_room()
    roomy.write([Change("a", "asked", b"")])
    assert len(entries(roomy)) == 25
    roomy.close()


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL])
def test_the_reserve_is_taken_also_where_a_file_system_cannot_allocate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def unable(*_: int) -> None:
        raise OSError(code, "not here")

    monkeypatch.setattr("os.posix_fallocate", unable)
    reserve = Reserve(tmp_path)
    reserve.hold()
    assert reserve.is_held
    assert (tmp_path / "client.reserve").stat().st_blocks * 512 >= SIZE
    reserve.give_up()
    assert not (tmp_path / "client.reserve").exists()


def test_its_own_log_does_not_fill_a_small_disk(disk: SmallDisk) -> None:
    journal = Journal(disk.folder, KEY)
    for i in range(500):
        journal.write([Change("a", str(i), bytes(2000))])
        journal.drop("a", str(i))
    journal.flush()
    sizes = {path.name: path.stat().st_size for path in disk.folder.iterdir()}
    assert sum(sizes.values()) < 1 << 20, f"the files have grown to {sizes}"
    journal.close()


def test_a_folder_that_cannot_be_written_is_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "client.db").mkdir()
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(FolderError, match="can't be written by this user"):
        Journal(tmp_path, KEY)


LONG = gather(bytes([number]) * 40_000 for number in range(5))


def version(folder: Path) -> int:
    connection = sqlite3.connect(folder / "client.db")
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(found)


def test_a_long_body_is_kept_in_pieces_and_leaves_with_all_of_them(
    journal: Journal, tmp_path: Path
) -> None:
    journal.write([Change("a", "1", b"short"), Change("a", "2", LONG), Change("a", "3", LONG)])
    again = reopen(journal, tmp_path)
    assert again.take("a") == [("1", b"short"), ("2", LONG), ("3", LONG)]
    again.put("a", "2", b"short now")
    again.drop("a", "3")
    third = reopen(again, tmp_path)
    assert third.take("a") == [("1", b"short"), ("2", b"short now")]
    (count,) = third._database._connection.execute("SELECT count(*) FROM entry").fetchone()
    assert count == 2
    third.close()


@pytest.mark.parametrize("body", [b"short", LONG, None])
def test_older_programs_read_a_file_until_anything_is_written_to_it(
    journal: Journal, tmp_path: Path, body: Message | None
) -> None:
    journal.close()
    connection = sqlite3.connect(tmp_path / "client.db")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    again = Journal(tmp_path, KEY)
    again.flush()
    again.close()
    assert version(tmp_path) == 1
    again = Journal(tmp_path, KEY)
    again.write([Change("a", "2", body)])
    again.close()
    assert version(tmp_path) == 4


def test_a_long_body_of_an_older_program_is_one_piece_on_disk_and_several_here(
    journal: Journal, tmp_path: Path
) -> None:
    journal.write([Change("a", "1", bytes(LONG))])
    again = reopen(journal, tmp_path)
    ((_, body),) = again.take("a")
    assert isinstance(body, Pieces)
    assert body == LONG
    again.drop("a", "1")
    third = reopen(again, tmp_path)
    assert third.take("a") == []
    third.close()


@pytest.mark.parametrize("number", [1, 4])
def test_a_body_that_lacks_a_piece_is_none(journal: Journal, tmp_path: Path, number: int) -> None:
    journal.write([Change("a", "1", LONG), Change("a", "2", LONG)])
    journal.close()
    connection = sqlite3.connect(tmp_path / "client.db")
    with connection:
        gone = connection.execute("DELETE FROM entry WHERE id = ?", (f"1 {number}",))
        assert gone.rowcount == 1
    connection.close()
    again = Journal(tmp_path, KEY)
    assert again.take("a") == [("2", LONG)]
    assert len(damaged(tmp_path)) == 1
    again.close()
