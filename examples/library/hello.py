"""Says hello to a contact, an address or oneself, and prints the next message that comes.

Usage: python3 hello.py ID [RECIPIENT], with the id of a client that runs.
"""

import sys

import nym


def main(own: str, recipient: str = "") -> None:
    """Send a message, and wait for one."""
    with nym.connect(own) as client:
        print("I am", client.address)
        client.send(recipient or client.address, "Hello from the library!")
        with client.messages() as messages:
            # Anybody can write here, also what is no text.
            print(next(messages).data.decode(errors="replace"))


try:
    main(*sys.argv[1:])
except nym.Error as error:
    sys.exit(str(error))
