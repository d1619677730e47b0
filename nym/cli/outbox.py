"""`outbox` lists the messages that wait to be sent, says why they wait, and cancels them."""

import json
from collections.abc import Iterator
from typing import Any

from nym.cli import Options
from nym.cli.contacts import name_of, names_of_contacts
from nym.cli.control import Control, RefusedError, control
from nym.cli.options import nym_folder
from nym.cli.output import complain, say
from nym.contacts import find_recipient
from nym.errors import ConfigError, ContactError, NymError
from nym.store.outbox import ID_LENGTH
from nym.timing import duration
from nym.wire.keys import encode_base58, is_tag

SHOWN = 12  # digits of an id that the list shows: enough to tell random ids apart

Message = dict[str, Any]


class CancelError(NymError):
    """No message that waits has this id, or several have ids that begin with it."""


def outbox(options: Options) -> int:
    """List the messages that wait, or cancel some or all of them."""
    with control(options["--id"]) as client:
        if options["list"]:
            _list(client, is_json=options["--json"])
        elif options["MESSAGE"]:
            _cancel(client, options["MESSAGE"])
        else:
            _cancel_all(client, options["--to"])
    return 0


def _list(client: Control, *, is_json: bool) -> None:
    contacts = names_of_contacts()
    listed = [
        message | {"contact": name_of(contacts, message["recipient"])}
        for message in _waiting(client)
    ]
    if is_json:
        say(json.dumps(listed))
    elif not listed:
        complain("nothing waits to be sent")
    for line in () if is_json else _table(listed):
        say(line)


def _table(messages: list[Message]) -> list[str]:
    """One line for each message, in columns that are as wide as they need to be."""
    rows = [_row(message) for message in messages]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _row(message: Message) -> list[str]:
    expires = message["expires"]
    end = "" if expires is None else f"; it is given up in {duration(expires)}"
    return [
        message["id"][:SHOWN],
        message["contact"] or message["recipient"],
        f"{message['size']} bytes",
        message["manner"],
        f"{message['left']} of {message['fragments']} left",
        f"waiting for {duration(message['age'])}: {message['why']}{end}",
    ]


def _waiting(client: Control) -> Iterator[Message]:
    """All messages that wait. The client answers in pages, as there may be thousands."""
    after = 0
    while after is not None:
        answer = client.ask(type="outbox", after=after)
        yield from answer["messages"]
        after = answer["next"]


def _cancel(client: Control, names: list[str]) -> None:
    # All names are looked up before anything is cancelled, so a typing error changes nothing.
    ids = [_id(client, name) for name in dict.fromkeys(names)]
    gone = []
    for message_id in ids:
        try:
            client.ask(type="cancel", id=message_id)
        except RefusedError as error:
            if error.code != "no_such_message":
                raise
            # It may have been sent since it was looked up. The others are still to be cancelled.
            gone.append(message_id)
    _say_number(len(ids) - len(gone))
    if gone:
        raise CancelError(f"no message waits any more with the id {' or '.join(gone)}")


def _cancel_all(client: Control, to: str | None) -> None:
    if to is None:
        answer = client.ask(type="cancel", all=True)
    else:
        answer = client.ask(type="cancel", **_recipient(to))
    _say_number(len(answer["ids"]))


def _recipient(to: str) -> dict[str, str]:
    """The field of the request that names a contact, an address, or the tag of answers."""
    try:
        # is_manner_given: nothing is sent, so it doesn't matter how this recipient gets messages.
        contact = find_recipient(nym_folder(), to, is_manner_given=True)
    except (ContactError, ConfigError):
        if is_tag(to):
            return {"tag": to}
        raise
    return {"recipient_address": encode_base58(contact.address)}


def _id(client: Control, name: str) -> str:
    """The whole id of the message whose id begins with `name`. Raises CancelError.

    A whole id isn't looked up: the client says itself whether it has this message.
    """
    if len(name) == 2 * ID_LENGTH:
        return name.lower()
    found = [m["id"] for m in _waiting(client) if name and m["id"].startswith(name.lower())]
    if not found:
        raise CancelError(f"no message waits whose id begins with {name}; nothing was cancelled")
    if len(found) > 1:
        raise CancelError(
            f"{len(found)} messages have ids that begin with {name}; nothing was cancelled"
        )
    return str(found[0])


def _say_number(count: int) -> None:
    complain(f"{count} message{' was' if count == 1 else 's were'} cancelled")
