"""The user's contacts: names for addresses, in contacts.toml, for all clients of this user."""

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from nym.errors import ConfigError, ContactError
from nym.files import make_folder, write_file
from nym.wire.keys import decode_base58, encode_base58

FILE = "contacts.toml"
MOST_BYTES = 1 << 20
_NAME = re.compile(r"[^\W_][\w.@+-]{0,99}")


class Contact(NamedTuple):
    """Whom a name stands for; `is_plain`: who runs the published client."""

    address: bytes
    is_plain: bool = False


class Contacts:
    """The contacts in a folder. Raises ConfigError where the file is damaged."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self.known = self._load()

    def find(self, name: str) -> Contact:
        """The contact with this name, or this address. Raises ContactError."""
        if name in self.known:
            return self.known[name]
        try:
            return Contact(decode_base58(name))
        except ValueError as error:
            known = f"; known are {', '.join(sorted(self.known))}" if self.known else ""
            raise ContactError(
                f'"{name}" is neither an address ({error}) nor a contact{known}. A contact is made '
                f"with: nym-client contacts add {name} ADDRESS"
            ) from error

    def name_of(self, address: bytes) -> str | None:
        """What this address is called."""
        return next((n for n, contact in self.known.items() if contact.address == address), None)

    def add(self, name: str, contact: Contact) -> None:
        """Give a name. Raises ContactError for one that can't be, or is another's."""
        if not _NAME.fullmatch(name) or _is_address(name):
            raise ContactError(
                f"{name} can't be a name: those have up to 100 letters, digits and . @ + - _, and "
                "begin with a letter or a digit"
            )
        if self.known.get(name, contact).address != contact.address:
            raise ContactError(
                f"{name} is the name of {encode_base58(self.known[name].address)}; remove that "
                f"first: nym-client contacts remove {name}"
            )
        self.known[name] = contact
        self._save()

    def remove(self, name: str) -> None:
        """Forget a name. Raises ContactError."""
        if name not in self.known:
            raise ContactError(f'no contact is called "{name}"')
        del self.known[name]
        self._save()

    def _load(self) -> dict[str, Contact]:
        try:
            with self._path.open("rb") as file:
                table = tomllib.loads(file.read(MOST_BYTES).decode())
            return {name: _decode(entry) for name, entry in table.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self._path} can't be read: {error}") from error

    def _save(self) -> None:
        import tomlkit  # slow to load, and not needed to look somebody up

        document = tomlkit.document()
        for name, contact in sorted(self.known.items()):
            entry = tomlkit.table()
            entry["address"] = encode_base58(contact.address)
            if contact.is_plain:
                entry["plain"] = True
            document[name] = entry
        try:
            make_folder(self._path.parent)
            write_file(self._path, tomlkit.dumps(document).encode())
        except OSError as error:
            raise ConfigError(f"{self._path} can't be written: {error.strerror}") from error


def _decode(entry: object) -> Contact:
    fields = entry if isinstance(entry, dict) else {}
    is_plain = fields.get("plain", False)
    if not isinstance(is_plain, bool) or not {"address"} <= fields.keys() <= {"address", "plain"}:
        raise ValueError("a contact has an address, and perhaps plain = true")
    return Contact(decode_base58(str(fields["address"])), is_plain)


def _is_address(name: str) -> bool:
    try:
        decode_base58(name)
    except ValueError:
        return False
    return True
