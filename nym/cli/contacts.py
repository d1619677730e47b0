"""`contacts` gives names to addresses: it adds, renames, removes and lists them."""

import json
from collections.abc import Callable

from nym.cli import Options
from nym.cli.options import checked, nym_folder
from nym.cli.output import complain, say
from nym.contacts import (
    Contact,
    Contacts,
    add_contact,
    load_contacts,
    remove_contact,
    rename_contact,
)
from nym.errors import ConfigError
from nym.sphinx import is_public_key
from nym.wire.keys import decode_base58, encode_base58
from nym.wire.recipients import parse_recipient


def contacts(options: Options) -> int:
    """Add, rename, remove or list contacts."""
    if options["add"]:
        # Plain messages aren't encrypted for their recipient, so any 32 bytes can be an address.
        check: Callable[[str], object] = parse_recipient if options["--plain"] else _check_address
        address, provider = parse_recipient(checked("ADDRESS", options["ADDRESS"], check))
        add_contact(nym_folder(), options["NAME"], Contact(address, options["--plain"], provider))
    elif options["rename"]:
        rename_contact(nym_folder(), options["NAME"], options["NEW"])
    elif options["remove"]:
        remove_contact(nym_folder(), options["NAME"])
    else:
        _list(load_contacts(nym_folder()), is_json=options["--json"])
    return 0


def _check_address(value: str) -> None:
    if not is_public_key(parse_recipient(value).address):
        raise ValueError("no client can have this address; check it for typing errors")


def names_of_contacts() -> Contacts:
    """The contacts, for commands that can do their work without names.

    If the file can't be read, the user is told, and the result has no contacts.
    """
    try:
        return load_contacts(nym_folder())
    except ConfigError as error:
        complain(f"nym-client: {error}. Addresses are shown without names")
        return Contacts({})


def name_of(contacts: Contacts, peer: str) -> str | None:
    """The name of the contact with this address in base58; None if there is none, as for a tag."""
    try:
        return contacts.name_of(decode_base58(peer))
    except ValueError:
        return None


def _list(contacts: Contacts, *, is_json: bool) -> None:
    known = [
        {
            "name": name,
            "address": encode_base58(contact.address),
            # Asked by address, not taken from this contact. If another contact has the same address
            # and is plain, messages to this one are sent plain, too.
            "plain": contacts.is_plain(contact.address),
            "provider": contact.provider and encode_base58(contact.provider),
        }
        for name, contact in sorted(contacts.known.items())
    ]
    if is_json:
        say(json.dumps(known))
        return
    width = max((len(name) for name in contacts.known), default=0)
    for contact in known:
        plain = "  plain" if contact["plain"] else ""
        provider = f"@{contact['provider']}" if contact["provider"] else ""
        say(f"{contact['name']:<{width}}  {contact['address']}{provider}{plain}")
