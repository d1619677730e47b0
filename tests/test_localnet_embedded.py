"""The network inside a client."""

from pathlib import Path

import pytest

from nym.localnet.embedded import EmbeddedNetwork
from tests.harness import free_port, serving_http


def test_it_leaves_a_taken_port_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving_http(lambda: b"another program") as url:
        embedded = EmbeddedNetwork(int(url.rpartition(":")[2]), tmp_path / "net")
        assert not embedded.revive()
        embedded.stop()
    assert not caplog.text
    assert not (tmp_path / "net").exists()


def test_it_is_started_once_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedded = EmbeddedNetwork(free_port(), tmp_path / "net")
    assert embedded.revive()
    assert not embedded.revive()
    embedded.stop()
    (warning,) = caplog.records
    assert "hides nothing" in warning.message
    assert "--directory" in warning.message


def test_a_folder_that_cannot_be_used_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "net").write_text("in the way")
    embedded = EmbeddedNetwork(free_port(), tmp_path / "net")
    for _ in range(3):
        assert not embedded.revive()
    (record,) = caplog.records
    assert "could not be started" in record.message
    embedded.stop()
