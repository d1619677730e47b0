"""Calls functions of a program on another machine.

Usage: python3 rpc.py serve ID
       python3 rpc.py call ID SERVER FUNCTION ARGUMENT...
"""

import json
import secrets
import sys
from collections.abc import Callable
from typing import Any

import nym

FUNCTIONS: dict[str, Callable[..., object]] = {
    "add": lambda *numbers: sum(map(float, numbers)),
    "upper": str.upper,
}


def serve(own: str) -> None:
    """Answer calls for ever."""
    with nym.connect(own) as client, client.messages() as messages:
        for message in messages:
            request = parsed(message.data)
            # The caller is known, because its message is reliable.
            if message.sender and "call" in request:
                answer = {"call": request["call"], "result": run(request)}
                try:
                    client.send(message.sender, json.dumps(answer), reliable=True)
                except nym.RefusedError as error:  # such as a long result, a full outbox
                    print("one call was not answered:", error, file=sys.stderr)


def run(request: dict[str, Any]) -> object:
    """The result of a function, or what went wrong in it."""
    try:
        function = FUNCTIONS[request["function"]]
        return function(*request["arguments"])
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller has to know
        return f"{type(error).__name__}: {error}"


def call(own: str, server: str, function: str, *arguments: str) -> object:
    """Call a function, and return its result. Raises TimeoutError after five minutes."""
    # Nobody else knows this number, so nobody else can answer.
    number = secrets.token_hex(16)
    request = {"call": number, "function": function, "arguments": arguments}
    with nym.connect(own) as client:
        client.send(server, json.dumps(request), reliable=True)
        with client.messages(timeout=300) as messages:
            for message in messages:
                answer = parsed(message.data)
                if answer.get("call") == number:
                    return answer["result"]
                # The loop takes it from the client for good, so it is shown at least.
                print("another message came:", message.data, file=sys.stderr)
    raise TimeoutError(f"{server} has not answered")


def parsed(data: bytes) -> dict[str, Any]:
    """The object in a message; empty if it is something else, because anybody can write here."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


match sys.argv[1:]:
    case ["serve", own]:
        serve(own)
    case ["call", own, server, function, *arguments]:
        print(call(own, server, function, *arguments))
    case _:
        sys.exit(__doc__)
