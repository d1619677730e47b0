"""A help desk that doesn't learn who asks.

Usage: python3 help_desk.py serve ID
       python3 help_desk.py ask ID DESK QUESTION
"""

import sys

import nym

ANSWERS = {
    "hours": "from nine to five",
    "place": "in the old mill",
}


def serve(own: str) -> None:
    """Answer questions for ever."""
    with nym.connect(own) as client, client.messages() as messages:
        for message in messages:
            if message.reply_to is None:
                continue  # nobody can be answered
            question = message.data.decode(errors="replace").strip().lower()
            try:
                client.reply(message, ANSWERS.get(question, "nobody here knows"), reliable=True)
            except nym.NoSuchTagError as error:
                print("one question was not answered:", error, file=sys.stderr)


def ask(own: str, desk: str, question: str) -> str:
    """Ask a question, and return the answer. Raises TimeoutError after five minutes."""
    with nym.connect(own) as client:
        client.send(desk, question, reliable=True, anonymous_reply=True)
        with client.messages(timeout=300) as messages:
            for message in messages:
                # Only the desk knows the address that this came to, so only the desk can answer.
                if message.reply_from and desk in (
                    message.reply_from,
                    client.name_of(message.reply_from),
                ):
                    return message.data.decode(errors="replace")
                # The loop takes it from the client for good, so it is shown at least.
                print("another message came:", message.data, file=sys.stderr)
    raise TimeoutError(f"{desk} has not answered")


try:
    match sys.argv[1:]:
        case ["serve", own]:
            serve(own)
        case ["ask", own, desk, question]:
            print(ask(own, desk, question))
        case _:
            sys.exit(__doc__)
except nym.Error as error:
    sys.exit(str(error))  # for example: no address for the answer is free yet
