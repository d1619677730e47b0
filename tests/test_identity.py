"""Keys and their files: formats, damage, rights, and races with other processes.

Files of the published client are compared byte for byte. Tests as root act as another user.
"""

import codecs
import os
import pickle
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from nym import files, sphinx
from nym.errors import IdentityError
from nym.identity import (
    PRIVATE_FILE,
    PUBLIC_FILE,
    encode_pem,
    generate_identity,
    has_identity,
    load_identity,
    save_identity,
)

VECTORS = Path(__file__).parent / "vectors"
L = 2**252 + 27742317777372353535851937790883648493


def published(folder: Path) -> Path:
    """Make a folder as the published client leaves it, whose files others can read."""
    folder.mkdir()
    for name in (PRIVATE_FILE, PUBLIC_FILE):
        (folder / name).write_bytes((VECTORS / f"identity_{name}").read_bytes())
        (folder / name).chmod(0o644)
    return folder


def test_a_published_folder_is_read(tmp_path: Path) -> None:
    identity = load_identity(published(tmp_path / "alice"))
    assert identity.address == "Gg5sSynbwVgNRdkBJMkoABa2jT1SgsDqU69FGc4G4eej"
    assert sphinx.public_key(identity.private_key) == identity.public_key


def test_files_are_written_as_published(tmp_path: Path) -> None:
    save_identity(load_identity(published(tmp_path / "alice")), tmp_path / "copy")
    for name in (PRIVATE_FILE, PUBLIC_FILE):
        copy = (tmp_path / "copy" / name).read_bytes()
        assert copy == (VECTORS / f"identity_{name}").read_bytes()


def test_a_folder_that_others_could_use_is_closed_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = published(tmp_path / "alice")
    folder.chmod(0o777)
    shared = tmp_path / "shared.toml"
    shared.write_text("")
    shared.chmod(0o644)
    (folder / "config.toml").symlink_to(shared)
    load_identity(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in (PRIVATE_FILE, PUBLIC_FILE):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(shared.stat().st_mode) == 0o644
    (record,) = caplog.records
    for said in ("users could read these", "alice (mode 0777)", f"{PRIVATE_FILE} (mode 0644)"):
        assert said in record.message
    caplog.clear()
    load_identity(folder)
    assert not caplog.text


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_keys_that_an_editor_saved_are_read(tmp_path: Path, mark: bytes, end: bytes) -> None:
    folder = published(tmp_path / "alice")
    before = load_identity(folder)
    for name in (PRIVATE_FILE, PUBLIC_FILE):
        lines = (folder / name).read_bytes().splitlines()
        (folder / name).write_bytes(mark + end.join(lines))
    assert load_identity(folder) == before


USER = 12345  # a user other than root that doesn't exist on this machine
AS_USER = f"""
import os, sys
from pathlib import Path
from nym.identity import has_identity, load_identity, save_identity, generate_identity
from nym.errors import IdentityError
os.setgid({USER})
os.setuid({USER})
folder = Path(sys.argv[2])
try:
    eval(sys.argv[1])
except IdentityError as error:
    print(error)
"""


def said(what: str, folder: Path, *, warns: bool = False) -> str:
    """What a call, made as USER, prints: the text of its error, or with `warns`, its warnings."""
    ran = subprocess.run(
        [sys.executable, "-c", AS_USER, what, str(folder)],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return (ran.stderr if warns else ran.stdout).decode()


@pytest.mark.skipif(os.geteuid() != 0, reason="root can become another user")
def test_folders_of_others_are_errors_with_a_name(anyone: Path) -> None:
    folder = published(anyone / "alice")
    os.chown(folder, 4321, 4321)
    refused = said("load_identity(folder)", folder)
    assert "alice belongs to another user (4321)" in refused
    assert f"chown {USER} {folder}" in refused
    os.chown(folder, USER, USER)
    os.chown(folder / PRIVATE_FILE, 4321, 4321)
    assert f"{PRIVATE_FILE} belongs to another user (4321)" in said("load_identity(folder)", folder)
    os.chown(folder / PRIVATE_FILE, 0, 0)  # containers mount secrets like this
    refused = said("load_identity(folder)", folder)
    assert f"other users can use {folder}, and this user can't change that" in refused
    assert f"chmod -R go= {folder}: Operation not permitted" in refused
    (folder / PRIVATE_FILE).chmod(0o600)
    assert "can't be read as a key: Permission denied" in said("load_identity(folder)", folder)
    os.chown(folder, 0, 0)
    folder.chmod(0o700)
    assert "can't be read: Permission denied" in said("has_identity(folder)", folder)
    assert "can't be used: Permission denied" in said("load_identity(folder)", folder)
    save = "save_identity(generate_identity(), folder)"
    assert "keys can't be written to" in said(save, folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="root can become another user")
@pytest.mark.parametrize("name", ["client.db", "config.toml", PUBLIC_FILE, "a link"])
def test_no_file_is_another_users(anyone: Path, name: str) -> None:
    folder = published(anyone / "alice")
    (anyone / "elsewhere").write_text("")
    (folder / "a link").symlink_to(anyone / "elsewhere")
    (folder / "client.db").touch()
    (folder / "config.toml").touch()
    for path in (folder, *folder.iterdir()):
        os.chown(path, USER, USER)
    assert said("print(load_identity(folder).address)", folder).startswith("Gg5s")
    os.chown(folder / name, 4321, 4321)
    assert f"{folder / name} belongs to another user (4321)" in said(
        "load_identity(folder)", folder
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="root can become another user")
def test_parents_that_others_can_write_to_are_said(anyone: Path) -> None:
    home = anyone / "home"
    folder = home / ".config" / "alice"
    home.mkdir()
    published(folder.parent.parent / "alice").rename(home / "made")
    folder.parent.mkdir()
    (home / "made").rename(folder)
    for path in (home, folder.parent, folder, *folder.iterdir()):
        os.chown(path, USER, USER)
    anyone.chmod(0o1777)  # like /tmp: everybody may write, but rename only their own files
    home.chmod(0o755)
    assert said("load_identity(folder)", folder, warns=True).count("the place of") == 0
    for path, mode in ((home, 0o777), (home, 0o772), (folder.parent, 0o777)):
        path.chmod(mode)
        warned = said("load_identity(folder)", folder, warns=True)
        assert f"other users can put a folder with other keys in the place of {folder}" in warned
        assert f"{path} has the mode {mode:04o} (close it: chmod go-w {path})" in warned
        path.chmod(0o755)
    home.chmod(0o775)
    os.chown(home, USER, 4321)
    assert "chmod go-w" in said("load_identity(folder)", folder, warns=True)
    os.chown(home, 4321, 4321)
    assert f"{home} belongs to 4321" in said("load_identity(folder)", folder, warns=True)


@pytest.fixture
def anyone() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own folders are closed to others."""
    with TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_a_private_key_that_is_interrupted_never_meets_another_public_one(tmp_path: Path) -> None:
    folder = published(tmp_path / "alice")
    (folder / PRIVATE_FILE).unlink()
    (folder / PRIVATE_FILE).mkdir()  # a file can't replace a folder, so writing fails here
    with pytest.raises(IdentityError, match="keys can't be written"):
        save_identity(generate_identity(), folder)
    assert not (folder / PUBLIC_FILE).exists()


def test_new_keys_differ_are_canonical_and_come_back(tmp_path: Path) -> None:
    identities = [generate_identity() for _ in range(20)]
    assert len({bytes(i.private_key) for i in identities}) == 20
    assert all(0 < int.from_bytes(i.private_key, "little") < L for i in identities)
    identity = identities.pop()
    assert not has_identity(tmp_path / "bob")
    save_identity(identity, tmp_path / "bob")
    assert has_identity(tmp_path / "bob")
    assert load_identity(tmp_path / "bob") == identity


def test_an_identity_does_not_show_its_private_key() -> None:
    identity = generate_identity()
    for shown in (repr(identity), str(identity), repr(identity.private_key)):
        assert bytes(identity.private_key).hex() not in shown
        assert repr(bytes(identity.private_key))[2:-1] not in shown
    with pytest.raises(TypeError):
        pickle.dumps(identity)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (PRIVATE_FILE, None, "nym-client init --id alice"),
        (PRIVATE_FILE, b"", "doesn't begin with"),
        (PRIVATE_FILE, b"\xff\xfe", "can't be read as a key"),
        (PRIVATE_FILE, (VECTORS / "identity_public.pem").read_bytes(), "doesn't begin with"),
        (PUBLIC_FILE, (VECTORS / "identity_public.pem").read_bytes()[:-10], "doesn't end with"),
        (
            PRIVATE_FILE,
            b"-----BEGIN DUMMY KEY BASED ON X25519 PRIVATE KEY-----\nAAAA\n"
            b"-----END DUMMY KEY BASED ON X25519 PRIVATE KEY-----",
            "isn't base64 of 32 bytes",
        ),
        (
            PRIVATE_FILE,
            b"-----BEGIN DUMMY KEY BASED ON X25519 PRIVATE KEY-----\n!\n"
            b"-----END DUMMY KEY BASED ON X25519 PRIVATE KEY-----",
            "isn't base64",
        ),
    ],
)
def test_damaged_keys_are_refused(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    folder = published(tmp_path / "alice")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(IdentityError, match=says) as caught:
        load_identity(folder)
    assert name in str(caught.value)


def test_a_missing_public_key_is_made_anew(tmp_path: Path) -> None:
    folder = published(tmp_path / "alice")
    (folder / PUBLIC_FILE).unlink()
    identity = load_identity(folder)
    assert (folder / PUBLIC_FILE).read_bytes() == (VECTORS / "identity_public.pem").read_bytes()
    assert load_identity(folder) == identity


def test_a_public_key_that_is_made_anew_replaces_none_that_came_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = published(tmp_path / "alice")
    (folder / PUBLIC_FILE).unlink()
    new = generate_identity()

    def written_late(*arguments: Any, **more: Any) -> None:
        monkeypatch.undo()
        save_identity(new, folder)  # as if another process did so at this moment
        files.write_file(*arguments, **more)

    monkeypatch.setattr("nym.identity.write_file", written_late)
    assert load_identity(folder) == new
    assert load_identity(folder) == new
    assert sorted(path.name for path in folder.iterdir()) == [PRIVATE_FILE, PUBLIC_FILE]


def test_a_private_key_of_zero_is_refused(tmp_path: Path) -> None:
    zero = encode_pem("DUMMY KEY BASED ON X25519 PRIVATE KEY", bytes(32))
    (published(tmp_path / "alice") / PRIVATE_FILE).write_bytes(zero)
    with pytest.raises(IdentityError, match="holds no private key"):
        load_identity(tmp_path / "alice")


def test_keys_that_are_no_pair_are_refused(tmp_path: Path) -> None:
    folder = published(tmp_path / "alice")
    save_identity(generate_identity(), tmp_path / "other")
    (tmp_path / "other" / PUBLIC_FILE).replace(folder / PUBLIC_FILE)
    with pytest.raises(IdentityError, match="don't belong together"):
        load_identity(folder)


def test_files_are_closed_to_others_from_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "clients" / "alice"
    save_identity(generate_identity(), folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert sorted(file.name for file in folder.iterdir()) == [PRIVATE_FILE, PUBLIC_FILE]
