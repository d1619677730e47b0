"""The user's contacts: names for addresses. One file, contacts.toml, serves all clients of a user.

A command that adds or removes a contact holds the folder's lock from reading the file to writing
it. Otherwise, of two commands at the same time, one could overwrite the change of the other. People
may edit the file by hand, so a command keeps the order of the entries, and the comments.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nym.config.text import line_of, parse_toml
from nym.errors import ConfigError, ContactError, ContactsError
from nym.files import locked, make_folder, os_errors_as, read_errors_as, read_text, write_file
from nym.wire.keys import encode_base58
from nym.wire.recipients import Recipient, parse_recipient

FILE = "contacts.toml"
MOST_BYTES = 1 << 20  # more than anyone's contacts need; bounds what is read into memory
# No name begins with a hyphen, or a command line would take it for an option.
_NAME = re.compile(r"[^\W_][\w.@+-]{0,99}")

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

log = logging.getLogger(__name__)


class Contact(NamedTuple):
    """The recipient that a name stands for. `is_plain`: it runs the published client.

    `provider` names the recipient's provider, if somebody has named it.
    """

    address: bytes
    is_plain: bool = False
    provider: bytes | None = None

    @property
    def recipient(self) -> Recipient:
        """The recipient as people write it."""
        return Recipient(self.address, self.provider)


Known = Mapping[str, Contact]
Edit = Callable[["TOMLDocument"], "TOMLDocument"]


class Contacts:
    """The contacts in one reading of the file, by name (`known`) and as a set of `addresses`."""

    def __init__(self, known: Mapping[str, Contact]) -> None:
        self.known = known
        self.addresses = frozenset(contact.address for contact in known.values())

    def find(self, name: str) -> Contact:
        """The contact with this name, or this address, as ADDRESS or ADDRESS@PROVIDER.

        Raises ContactError.
        """
        if name in self.known:
            return self.known[name]
        try:
            address, provider = parse_recipient(name)
        except ValueError as error:
            known = f" (known: {', '.join(sorted(self.known))})" if self.known else ""
            raise ContactError(
                f'"{name}" is neither an address ({error}) nor a contact{known}. To add a contact, '
                f"run: nym-client contacts add {name} ADDRESS"
            ) from error
        return Contact(address, self.is_plain(address), provider or self.provider_of(address))

    def provider_of(self, address: bytes) -> bytes | None:
        """The provider that is named for this address; None if there is none."""
        named = (known.provider for known in self.known.values() if known.address == address)
        return next(filter(None, named), None)

    def is_plain(self, address: bytes) -> bool:
        """Whether a contact with this address runs the published client (needs plain messages)."""
        return any(known.is_plain for known in self.known.values() if known.address == address)

    def name_of(self, address: bytes) -> str | None:
        """The name of the contact with this address; None if there is no such contact."""
        return next((n for n, contact in self.known.items() if contact.address == address), None)


def load_contacts(folder: Path) -> Contacts:
    """The contacts in contacts.toml; none if there is no such file. Raises ConfigError."""
    return Contacts(_parse(folder / FILE, _read(folder / FILE)))


def find_recipient(folder: Path, name: str, *, is_manner_given: bool) -> Contact:
    """The contact with this name, or this address. Raises ConfigError, ContactError.

    Sending to an address needs no contacts, so a file that can't be read is then ignored. There is
    one exception: the file mentions the address, and the user didn't choose how to send
    (`is_manner_given`). The entry may say that the recipient runs the published client, which
    understands plain messages only.
    """
    try:
        return load_contacts(folder).find(name)
    except ConfigError as error:
        if not is_address(name):
            raise
        if not is_manner_given and _mentions(folder / FILE, name.partition("@")[0]):
            raise ConfigError(
                f"{error}. The file may say that {name} gets plain messages: repair the file, or "
                "send with --plain or --reliable"
            ) from error
        log.warning("%s. Sending to an address works without this file, so it is ignored", error)
        recipient = parse_recipient(name)
        return Contact(recipient.address, provider=recipient.provider)


class CurrentContacts:
    """The contacts in contacts.toml, for a running client. The file is read again when it changes.

    While the file is broken, the contacts of its last good version count.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, ...] | None = ()  # `_identity` of the file that was read last
        self._contacts = Contacts({})
        self._mistake: ConfigError | None = None

    def __contains__(self, address: object) -> bool:
        self._look()
        return address in self._contacts.addresses

    def is_plain(self, address: bytes) -> bool:
        """Whether the recipient at this address needs plain messages.

        Raises ContactsError if the file is broken and mentions the address: its entry may have
        changed, and a wrong guess would send a message that the recipient can't read, or one that
        its provider can.
        """
        self._look()
        if self._mistake and _mentions(self._folder / FILE, encode_base58(address)):
            raise ContactsError(
                f"{self._mistake}. The file may say that this recipient gets plain messages"
            )
        return self._contacts.is_plain(address)

    def provider_of(self, address: bytes) -> bytes | None:
        """The provider that is named for this address; None if there is none."""
        self._look()
        return self._contacts.provider_of(address)

    def by_name(self) -> list[tuple[str, Contact]]:
        """All contacts with their names, in the order of the names."""
        self._look()
        return sorted(self._contacts.known.items())

    def add(self, name: str, recipient: Recipient) -> None:
        """Give this recipient a name. What is known of its address stays. Raises ContactsError."""
        address, provider = recipient
        provider = provider or self.provider_of(address)
        contact = Contact(address, self.is_plain(address), provider)
        with _refusals():
            add_contact(self._folder, name, contact)

    def rename(self, name: str, new: str) -> None:
        """Give a contact another name. Raises ContactsError."""
        with _refusals():
            rename_contact(self._folder, name, new)

    def remove(self, name: str) -> None:
        """Remove the contact with this name. Raises ContactsError."""
        with _refusals():
            remove_contact(self._folder, name)

    def _look(self) -> None:
        # Before reading: if the file changes while it is read, the next look reads it again.
        seen = _identity(self._folder / FILE)
        if seen == self._seen:
            return
        self._seen, self._mistake = seen, None
        try:
            self._contacts = load_contacts(self._folder)
        except ConfigError as error:
            self._mistake = error
            log.error(  # noqa: TRY400 - the user's mistake needs no traceback
                "%s; until this is repaired, messages to the addresses in the file are refused",
                error,
            )


@contextmanager
def _refusals() -> Iterator[None]:
    """Why a file isn't changed, as an error for the application that has asked for it."""
    try:
        yield
    except (ContactError, ConfigError) as error:
        raise ContactsError(str(error)) from error


def add_contact(folder: Path, name: str, contact: Contact) -> None:
    """Give `contact` this name, or change the contact that has it already.

    Raises ContactError if the name isn't valid, or stands for another address; ConfigError.
    """
    _check_name(name)

    def add(known: Known) -> tuple[Known, Edit]:
        if known.get(name, contact).address != contact.address:
            raise ContactError(
                f"{name} is already the name of {encode_base58(known[name].address)}; give that "
                f"contact another name first, with: nym-client contacts rename {name} NEW"
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
    """Remove the contact with this name. Raises ContactError, ConfigError."""

    def remove(known: Known) -> tuple[Known, Edit]:
        _check_known(known, name)
        return {other: known[other] for other in known if other != name}, partial(_remove, name)

    _change(folder, remove)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or is_address(name):
        raise ContactError(
            f"{name} can't be a name: a name has up to 100 letters, digits and . @ + - _, begins "
            "with a letter or a digit, and isn't an address"
        )


def _check_known(known: Known, name: str) -> None:
    if name not in known:
        raise ContactError(f'no contact is called "{name}"')


def is_address(name: str) -> bool:
    """Whether this is the text of an address, perhaps with its provider. No name can be one."""
    try:
        parse_recipient(name)
    except ValueError:
        return False
    return True


def _change(folder: Path, decide: Callable[[Known], tuple[Known, Edit]]) -> None:
    """Make the file hold the contacts that `decide` returns, by its edit, under the folder's lock.

    Raises ContactError, ConfigError.
    """
    # It is slow to load. Here, no other command has to wait for that, as it would inside the lock.
    import tomlkit
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
            # TOML lets people write the same table in many ways, and tomlkit gets a few of them
            # wrong. So nothing is written unless it reads as what was wanted.
            if _parse(path, changed) != wanted:
                raise ConfigError(f"{path} has a form that can't be changed here; use an editor")
            write_file(path, changed.encode())


def _put(name: str, contact: Contact, document: "TOMLDocument") -> "TOMLDocument":
    entry: dict[str, object] = {"address": str(contact.recipient)}
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
    with read_errors_as(ConfigError, path):
        try:
            return read_text(path, MOST_BYTES)
        except FileNotFoundError:
            return ""


def _parse(path: Path, text: str) -> dict[str, Contact]:
    try:
        tables = parse_toml(text)
    except ValueError as error:
        raise ConfigError(f"{path} isn't valid TOML: {error}") from error
    known = {}
    for name, entry in tables.items():
        try:
            known[name] = _decode(entry)
        except ValueError as error:
            line = line_of(text, name)
            # Without the contact's name: the running client logs this.
            raise ConfigError(f"{path}, line {line}: {error}") from error
    return known


def _mentions(path: Path, address: str) -> bool:
    """Whether the file contains the address, or can't be searched for it."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError:
        return True
    # An editor may have saved the file as UTF-16, where every other byte of an address is zero.
    return len(content) > MOST_BYTES or address.encode() in content.replace(b"\0", b"")


def _decode(entry: object) -> Contact:
    fields = entry if isinstance(entry, dict) else {}
    is_plain = fields.get("plain", False)
    if not isinstance(is_plain, bool) or not {"address"} <= fields.keys() <= {"address", "plain"}:
        raise ValueError("a contact has an address, and optionally plain = true")
    address, provider = parse_recipient(str(fields["address"]))
    return Contact(address, is_plain, provider)


def _identity(path: Path) -> tuple[int, ...] | None:
    """A value that changes whenever the file does; None while it can't be found."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
