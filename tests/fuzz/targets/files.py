"""Files that a user edits or a disk damages: settings, plans, contacts, keys, the database."""

import logging
import re
from codecs import BOM_UTF8
from pathlib import Path
from tempfile import TemporaryDirectory

from nym._secrets import Secret, random_seed
from nym.config import Config
from nym.config.nodes import DirectoryConfig, MixnodeConfig, ProviderConfig
from nym.config.text import format_config, parse_config
from nym.contacts import FILE as CONTACTS
from nym.contacts import load_contacts
from nym.errors import ConfigError, IdentityError, StoreError
from nym.identity import encode_pem, read_pem
from nym.network.example import EXAMPLE
from nym.network.plan import format_plan, parse_plan
from nym.store.aside import FILE as DATABASE
from nym.store.database import Change, Database
from nym.wire.keys import encode_base58
from tests.fuzz.targets import Target

KINDS = (Config, MixnodeConfig, ProviderConfig, DirectoryConfig)
LABEL = "A KEY"
SEED = random_seed()
MEMORY = Path("/dev", "shm")  # a disk would make each input take a hundred times as long
HERE = MEMORY if MEMORY.is_dir() else None


def config(data: bytes) -> None:
    text = data.decode()
    mistakes = []
    for kind in KINDS:
        try:
            parsed = parse_config(text, "config.toml", kind())
        except ConfigError as error:
            mistakes.append(error)
            continue
        assert parse_config(format_config(parsed), "config.toml", kind()) == parsed
    if len(mistakes) == len(KINDS):
        raise mistakes[0]


def plan(data: bytes) -> None:
    parsed = parse_plan(data.decode(), "plan.toml")
    assert parse_plan(format_plan(parsed), "plan.toml") == parsed


def contacts(data: bytes) -> None:
    with TemporaryDirectory(dir=HERE) as folder:
        (Path(folder) / CONTACTS).write_bytes(data)
        known = load_contacts(Path(folder))
    for name in known.known:
        assert known.find(name) == known.known[name]


def pem(data: bytes) -> None:
    with TemporaryDirectory(dir=HERE) as folder:
        path = Path(folder) / "key.pem"
        path.write_bytes(data)
        key = read_pem(path, LABEL, "")
    again = bytes(encode_pem(LABEL, key))
    assert _squeezed(again) == _squeezed(data.removeprefix(BOM_UTF8))


def _squeezed(text: bytes) -> bytes:
    return re.sub(rb"[ \t\r\n]", b"", text)


def database(data: bytes) -> None:
    """What is damaged is set aside, and the client starts with what can be read."""
    with TemporaryDirectory(dir=HERE) as folder:
        (Path(folder) / DATABASE).write_bytes(data)
        logging.disable()
        try:
            opened = Database(Path(folder), SEED)
        finally:
            logging.disable(logging.NOTSET)
        opened.close()
    assert opened.entries.keys() <= {"inbox", "outbox"}


def _configs() -> list[bytes]:
    return [format_config(kind()).encode() for kind in KINDS]


def _contacts() -> list[bytes]:
    address = encode_base58(bytes(range(32)))
    return [
        f'alice = {{address = "{address}"}}\n'.encode(),
        f'[bob]\naddress = "{address}@{address}"\nplain = true\n'.encode(),
    ]


def _databases() -> list[bytes]:
    with TemporaryDirectory(dir=HERE) as folder:
        made = Database(Path(folder), SEED)
        error = made.transact([Change("inbox", "ab12", b"hello"), Change("outbox", "1", bytes(99))])
        made.close()
        assert error is None
        return [(Path(folder) / DATABASE).read_bytes(), b"", b"SQLite format 3\0"]


TARGETS = {
    # What isn't UTF-8 is refused when the file is read.
    "config": Target(config, (ConfigError, UnicodeDecodeError), _configs, 16384),
    "plan": Target(
        plan, (ConfigError, UnicodeDecodeError), lambda: [format_plan(EXAMPLE).encode()], 8192
    ),
    "contacts": Target(contacts, ConfigError, _contacts),
    "pem": Target(
        pem, IdentityError, lambda: [bytes(encode_pem(LABEL, Secret(bytes(range(32)))))], 512
    ),
    "database": Target(database, StoreError, _databases, 32768),
}
