"""Sends a file, and shows how far it is until the recipient has all of it.

Usage: python3 send_file.py ID RECIPIENT FILE
"""

import sys

import nym


def main(own: str, recipient: str, path: str) -> None:
    """Hand the file over to the client, and wait for the acknowledgement."""
    with nym.connect(own) as client:
        sent = client.send_file(recipient, path, reliable=True)
        try:
            client.wait(sent, on_progress=show)
        except KeyboardInterrupt:
            client.cancel(sent)
            sys.exit("the file was taken back")


def show(progress: nym.Progress) -> None:
    """Print one line for each change."""
    if progress.state == "waiting":
        print(f"{progress.left} of {progress.fragments} packets to go: {progress.why}", flush=True)
    else:
        print(progress.state)


try:
    main(*sys.argv[1:])
except (nym.Error, OSError) as error:
    sys.exit(str(error))
