"""The user's contacts: names for addresses, in contacts.toml, for all clients of this user.

Commands that add or remove one hold the folder's lock, so that none of them loses another's change.
The file may be edited by hand: order and comments stay.
"""

import logging
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nym.config.text import line_of, parse_toml
from nym.errors import ConfigError, ContactError, ContactsError
from nym.files import locked, make_folder, os_errors_as, read_text, write_file
from nym.wire.keys import decode_base58, encode_base58

FILE = "contacts.toml"
MOST_BYTES = 1 << 20
_NAME = re.compile(r"[^\W_][\w.@+-]{0,99}")

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

log = logging.getLogger(__name__)


class Contact(NamedTuple):
    """The recipient that a name stands for; `is_plain`: it runs the published client."""

    address: bytes
    is_plain: bool = False


Known = Mapping[str, Contact]
Edit = Callable[["TOMLDocument"], "TOMLDocument"]


class Contacts:
    """Contacts by name."""

    def __init__(self, known: Mapping[str, Contact]) -> None:
        self.known = known
        self.addresses = frozenset(contact.address for contact in known.values())

    def find(self, name: str) -> Contact:
        """The contact with this name, or this address. Raises ContactError."""
        if name in self.known:
            return self.known[name]
        try:
            address = decode_base58(name)
        except ValueError as error:
            known = f"; known are {', '.join(sorted(self.known))}" if self.known else ""
            raise ContactError(
                f'"{name}" is neither an address ({error}) nor a contact{known}. A contact is made '
                f"with: nym-client contacts add {name} ADDRESS"
            ) from error
        return Contact(address, self.is_plain(address))

    def is_plain(self, address: bytes) -> bool:
        """Whether it is known of this address that plain messages have to go there."""
        return any(known.is_plain for known in self.known.values() if known.address == address)

    def name_of(self, address: bytes) -> str | None:
        """What this address is called."""
        return next((n for n, contact in self.known.items() if contact.address == address), None)


def load_contacts(folder: Path) -> Contacts:
    """The contacts in contacts.toml; none where it isn't there. Raises ConfigError."""
    return Contacts(_parse(folder / FILE, _read(folder / FILE)))


def find_recipient(folder: Path, name: str, *, is_manner_given: bool) -> Contact:
    """The contact with this name, or this address. Raises ConfigError, ContactError.

    For an address, a file that can't be read is no obstacle. But where the address is in it, the
    manner has to be given: that contact may be plain, and understands nothing else.
    """
    try:
        return load_contacts(folder).find(name)
    except ConfigError as error:
        if not is_address(name):
            raise
        if not is_manner_given and _mentions(folder / FILE, name):
            raise ConfigError(
                f"{error}. It may say that {name} gets plain messages: mend it, or send with "
                "--plain or --reliable"
            ) from error
        log.warning("%s. The file isn't needed for an address, and is ignored", error)
        return Contact(decode_base58(name))


class CurrentContacts:
    """The addresses in contacts.toml, which is read again when it changes.

    While the file is broken, they are those that were there before.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, ...] | None = ()  # of the file as it was read
        self._contacts = Contacts({})
        self._mistake: ConfigError | None = None

    def __contains__(self, address: object) -> bool:
        self._look()
        return address in self._contacts.addresses

    def is_plain(self, address: bytes) -> bool:
        """Whether plain messages have to go there.

        Raises ContactsError where the file is broken, and has the address.
        """
        self._look()
        if self._mistake and _mentions(self._folder / FILE, encode_base58(address)):
            raise ContactsError(f"{self._mistake}. It may say that plain messages have to go there")
        return self._contacts.is_plain(address)

    def _look(self) -> None:
        seen = _identity(self._folder / FILE)
        if seen == self._seen:
            return
        self._seen, self._mistake = seen, None
        try:
            self._contacts = load_contacts(self._folder)
        except ConfigError as error:
            self._mistake = error
            log.error("%s; messages to the addresses in it are refused until then", error)  # noqa: TRY400


def add_contact(folder: Path, name: str, contact: Contact) -> None:
    """Give a name. Raises ContactError for one that can't be, or is another's; ConfigError."""
    _check_name(name)

    def add(known: Known) -> tuple[Known, Edit]:
        if known.get(name, contact).address != contact.address:
            raise ContactError(
                f"{name} is the name of {encode_base58(known[name].address)}; give that another "
                f"name first: nym-client contacts rename {name} NEW"
            )
        return {**known, name: contact}, partial(_put, name, contact)

    _change(folder, add)


def rename_contact(folder: Path, name: str, new: str) -> None:
    """Give a contact another name. Raises ContactError, ConfigError."""
    _check_name(new)

    def rename(known: Known) -> tuple[Known, Edit]:
        _check_known(known, name)
        if new in known and new != name:
            raise ContactError(f"{new} is already the name of {encode_base58(known[new].address)}")
        renamed = {new if other == name else other: contact for other, contact in known.items()}
        return renamed, partial(_rename, name, new)

    _change(folder, rename)


def remove_contact(folder: Path, name: str) -> None:
    """Forget a name. Raises ContactError, ConfigError."""

    def remove(known: Known) -> tuple[Known, Edit]:
        _check_known(known, name)
        return {other: known[other] for other in known if other != name}, partial(_remove, name)

    _change(folder, remove)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or is_address(name):
        raise ContactError(
            f"{name} can't be a name: those have up to 100 letters, digits and . @ + - _, and "
            "begin with a letter or a digit"
        )


def _check_known(known: Known, name: str) -> None:
    if name not in known:
        raise ContactError(f'no contact is called "{name}"')


def is_address(name: str) -> bool:
    """Whether it is one, and can't be a contact's name."""
    try:
        decode_base58(name)
    except ValueError:
        return False
    return True


def _change(folder: Path, decide: Callable[[Known], tuple[Known, Edit]]) -> None:
    """Make the contacts what `decide` says, while nobody else changes the file."""
    import tomlkit  # slow to load, and not to be waited for by others with the lock
    from tomlkit.exceptions import TOMLKitError

    path = folder / FILE
    with os_errors_as(ConfigError, f"{path} can't be changed"):
        make_folder(folder)
        with locked(folder):
            text = _read(path)
            wanted, edit = decide(_parse(path, text))
            try:
                changed = tomlkit.dumps(edit(tomlkit.parse(text)))
            except (TypeError, ValueError, TOMLKitError) as error:
                raise ConfigError(
                    f"{path} has a form that can't be changed here: {error}"
                ) from error
            # People write files in any form, and tomlkit doesn't understand all of them.
            if _parse(path, changed) != wanted:
                raise ConfigError(f"{path} has a form that can't be changed here; use an editor")
            write_file(path, changed.encode())


def _put(name: str, contact: Contact, document: "TOMLDocument") -> "TOMLDocument":
    entry = {"address": encode_base58(contact.address)}
    document[name] = entry | ({"plain": True} if contact.is_plain else {})
    return document


def _remove(name: str, document: "TOMLDocument") -> "TOMLDocument":
    del document[name]
    return document


def _rename(name: str, new: str, document: "TOMLDocument") -> "TOMLDocument":
    """A copy with another key, so that the contact keeps its place and its comments."""
    import tomlkit

    renamed = tomlkit.document()
    for key, item in document.body:
        if key is None:  # a comment, or an empty line
            renamed.append(None, item)
        else:
            renamed.append(new if key.key == name else key, item)
    return renamed


def _read(path: Path) -> str:
    with os_errors_as(ConfigError, f"{path} can't be read"):
        try:
            return read_text(path, MOST_BYTES)
        except FileNotFoundError:
            return ""
        except ValueError as error:
            raise ConfigError(f"{path} can't be read: {error}") from error


def _parse(path: Path, text: str) -> dict[str, Contact]:
    try:
        tables = parse_toml(text)
    except ValueError as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    known = {}
    for name, entry in tables.items():
        try:
            known[name] = _decode(entry)
        except ValueError as error:
            line = line_of(text, name)
            raise ConfigError(f"{path}, line {line}: {name}: {error}") from error
    return known


def _mentions(path: Path, address: str) -> bool:
    """Whether it has an address, or may have it."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError:
        return True
    return len(content) > MOST_BYTES or address.encode() in content.replace(b"\0", b"")  # UTF-16


def _decode(entry: object) -> Contact:
    fields = entry if isinstance(entry, dict) else {}
    is_plain = fields.get("plain", False)
    if not isinstance(is_plain, bool) or not {"address"} <= fields.keys() <= {"address", "plain"}:
        raise ValueError("a contact has an address, and perhaps plain = true")
    return Contact(decode_base58(str(fields["address"])), is_plain)


def _identity(path: Path) -> tuple[int, ...] | None:
    """What changes whenever the file does."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
