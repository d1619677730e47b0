"""Says hello to an address, or to oneself, and prints the next message that comes.

Usage: python3 hello.py [PORT [ADDRESS]], with a port of `nym-client tcpsocket`.
"""

import base64
import json
import socket
import sys

port, *addresses = sys.argv[1:] or ["9001"]
connection = socket.create_connection(("127.0.0.1", int(port)))
lines = connection.makefile("rw", encoding="utf-8")


def ask(**request: str) -> dict[str, str]:
    """One request, and its answer."""
    print(json.dumps(request), file=lines, flush=True)
    answer: dict[str, str] = json.loads(lines.readline())
    if answer["type"] == "error":
        sys.exit(answer["message"])
    return answer


own = ask(type="ownDetails")["address"]
print("I am", own)
ask(type="send", recipient_address=(addresses or [own])[0], message="Hello from Python!")

ask(type="subscribe")
message = json.loads(lines.readline())  # waits until there is one
print(base64.b64decode(message["data"]).decode())
ask(type="ack", id=message["id"])  # until then, it would be offered again
