"""Inboxes of earlier versions, which were files, move into the database."""

from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from nym.errors import StoreError
from nym.nodes.inboxes import folder as folder_module
from nym.nodes.inboxes.local import open_inboxes
from nym.nodes.inboxes.stored import StoredInboxes
from nym.wire.keys import encode_base58

ALICE, BOB, CAROL = (bytes([number]) * 32 for number in (1, 2, 3))
WAITING = {ALICE: [b"a%d" % i for i in range(5)], BOB: [], CAROL: [b"", b"c"]}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The folder as an earlier version leaves it."""
    for client, messages in WAITING.items():
        path = tmp_path / "inboxes" / encode_base58(client)
        path.mkdir(parents=True)
        for time, message in enumerate(messages):
            (path / f"{10**18 + time:020}").write_bytes(message)
        (path / f".{10**19}").write_bytes(b"half a mess")
    return tmp_path / "inboxes"


def all_of(home: Path) -> dict[bytes, list[bytes]]:
    with closing(open_inboxes(home)) as inboxes:
        assert inboxes.count() == 7
        return {client: inboxes.take(client, 100) for client in inboxes.clients()}


def test_all_clients_and_messages_move_once(old: Path, tmp_path: Path) -> None:
    assert all_of(tmp_path) == WAITING
    assert not old.exists()
    with closing(open_inboxes(tmp_path)) as inboxes:
        assert (len(inboxes), inboxes.count()) == (3, 0)


@pytest.mark.parametrize("steps", range(6))
def test_an_interrupted_move_goes_on(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr(folder_module, "AT_ONCE", 2)
    left = iter(range(steps))
    run = StoredInboxes.run

    def dies(inboxes: StoredInboxes, work: object) -> object:
        if isinstance(work, partial) and next(left, None) is None:
            raise KeyboardInterrupt
        return run(inboxes, work)  # type: ignore[arg-type]

    def fails(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StoredInboxes, "run", dies)
        patch.setattr(folder_module, "_remove", fails)
        with pytest.raises(KeyboardInterrupt):
            open_inboxes(tmp_path)
    assert old.exists()
    assert all_of(tmp_path) == WAITING
    assert not old.exists()


def test_a_removal_that_was_interrupted_brings_nothing_twice(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink, left = Path.unlink, iter(range(4))

    def dies(path: Path) -> None:
        if next(left, None) is None:
            raise OSError(5, "Input/output error")
        unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", dies)
        with pytest.raises(StoreError, match="can't be taken over: Input/output error"):
            open_inboxes(tmp_path)
    assert all_of(tmp_path) == WAITING


def test_what_is_no_inbox_is_left_alone(
    old: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (old / "notes").mkdir()
    (old / "notes" / "todo").write_text("not a message")
    assert all_of(tmp_path) == WAITING
    assert (old / "notes" / "todo").read_text() == "not a message"
    assert "no client's folder" in caplog.text
