"""The database: sealed, locked, and damaged only in part."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nym.errors import FolderInUseError, StoreError
from nym.store.database import Change
from nym.store.journal import Journal

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
    with pytest.raises(FolderInUseError, match="another nym-client runs"):
        Journal(tmp_path, KEY)
    program = (
        "import sys; from pathlib import Path; from nym.store.journal import Journal;"
        "from nym.errors import FolderInUseError\n"
        "try: Journal(Path(sys.argv[1]), bytes(32))\n"
        "except FolderInUseError: print('refused')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=False,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert ran.stdout == b"refused\n", ran.stderr
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
    (aside,) = damaged(tmp_path)
    (tmp_path / aside).rename(tmp_path / "client.db")
    again = Journal(tmp_path, KEY)
    assert again.take("a") == [("1", b"one")]
    again.close()


def test_a_newer_versions_file_is_left_alone(journal: Journal, tmp_path: Path) -> None:
    journal.close()
    connection = sqlite3.connect(tmp_path / "client.db")
    connection.execute("PRAGMA user_version = 2")
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
