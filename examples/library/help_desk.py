"""A help desk that doesn't learn who asks.

Usage: python3 help_desk.py serve ID
       python3 help_desk.py ask ID DESK QUESTION
"""

import secrets
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
            number, _, question = message.data.decode(errors="replace").partition(" ")
            answer = ANSWERS.get(question.strip().lower(), "nobody here knows")
            try:
                client.reply(message, f"{number} {answer}", reliable=True)
            except nym.RefusedError as error:  # such as an address that has ended
                print("one question was not answered:", error, file=sys.stderr)


def ask(own: str, desk: str, question: str) -> str:
    """Ask a question, and return the answer. Raises TimeoutError after five minutes."""
    # Only the desk learns this number, so nobody else can answer. And a late answer to an earlier
    # question isn't taken for the one to this.
    number = secrets.token_hex(16)
    with nym.connect(own) as client:
        client.send(desk, f"{number} {question}", reliable=True, anonymous_reply=True)
        with client.messages(timeout=300) as messages:
            for message in messages:
                known, _, answer = message.data.decode(errors="replace").partition(" ")
                if known == number:
                    return answer
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
