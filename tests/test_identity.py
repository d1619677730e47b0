"""Keys and their files."""

import stat
from pathlib import Path

import pytest

from nym import sphinx
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
    """A folder as the published client leaves it."""
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


def test_a_key_that_others_could_read_is_closed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = published(tmp_path / "alice")
    load_identity(folder)
    assert stat.S_IMODE((folder / PRIVATE_FILE).stat().st_mode) == 0o600
    assert "could be read by others" in caplog.text
    caplog.clear()
    load_identity(folder)
    assert not caplog.text


def test_new_keys_differ_are_canonical_and_come_back(tmp_path: Path) -> None:
    identities = {generate_identity() for _ in range(20)}
    assert len(identities) == 20
    assert all(0 < int.from_bytes(i.private_key, "little") < L for i in identities)
    identity = identities.pop()
    assert not has_identity(tmp_path / "bob")
    save_identity(identity, tmp_path / "bob")
    assert has_identity(tmp_path / "bob")
    assert load_identity(tmp_path / "bob") == identity


def test_an_identity_does_not_show_its_private_key() -> None:
    identity = generate_identity()
    assert identity.private_key.hex() not in repr(identity)
    assert repr(identity.private_key) not in repr(identity)


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
            "holds 3 bytes",
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
