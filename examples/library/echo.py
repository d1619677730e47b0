"""Sends each message back to the client that sent it.

Usage: python3 echo.py ID
"""

import sys

import nym


def main(own: str) -> None:
    """Answer for ever."""
    with nym.connect(own) as client, client.messages() as messages:
        for message in messages:
            # Reliable messages say who sent them. The answer is anonymous, so two echo services
            # don't answer each other for ever.
            if message.sender:
                try:
                    client.send(message.sender, message.data, reliable=False)
                except nym.RefusedError as error:  # such as an outbox that is full
                    print("one message was not sent back:", error, file=sys.stderr)


main(*sys.argv[1:])
