"""`contacts`: names for addresses."""

import json

from nym.cli import Options
from nym.cli.options import checked, nym_folder
from nym.cli.output import say
from nym.config.checks import check_key
from nym.contacts import Contact, Contacts
from nym.wire.keys import decode_base58, encode_base58


def contacts(options: Options) -> int:
    """Add, remove or list."""
    contacts = Contacts(nym_folder())
    if options["add"]:
        address = decode_base58(checked("ADDRESS", options["ADDRESS"], check_key))
        contacts.add(options["NAME"], Contact(address, options["--plain"]))
    elif options["remove"]:
        contacts.remove(options["NAME"])
    else:
        _list(contacts, is_json=options["--json"])
    return 0


def _list(contacts: Contacts, *, is_json: bool) -> None:
    known = [
        {"name": name, "address": encode_base58(contact.address), "plain": contact.is_plain}
        for name, contact in sorted(contacts.known.items())
    ]
    if is_json:
        say(json.dumps(known))
        return
    width = max((len(name) for name in contacts.known), default=0)
    for contact in known:
        plain = "  plain" if contact["plain"] else ""
        say(f"{contact['name']:<{width}}  {contact['address']}{plain}")
