"""The tables of inboxes, and the steps from each format of them to the next."""

from nym.errors import StoreError
from nym.nodes.inboxes.engine import Engine, Execute

# The statements that lead to format 1, 2 and so on. What was released is never changed: a change is
# another step.
_STEPS = [
    [
        # How many clients there are, so that nobody has to count them.
        "CREATE TABLE total (clients INTEGER NOT NULL)",
        "INSERT INTO total (clients) VALUES (0)",
        # `seen`: when the client last registered or pulled, within a day. `messages` and `size` are
        # sums over its messages, so that a full inbox is found without looking at them.
        "CREATE TABLE client (number {key}, address {bytes} NOT NULL UNIQUE, seen BIGINT NOT NULL, "
        "messages INTEGER NOT NULL DEFAULT 0, size BIGINT NOT NULL DEFAULT 0)",
        # Clients go after a while; that an address was proven stays.
        "CREATE TABLE proven (address {bytes} PRIMARY KEY)",
        "CREATE TABLE message (number {key}, client BIGINT NOT NULL, kept BIGINT NOT NULL, "
        "body {bytes} NOT NULL)",
        "CREATE INDEX message_of_client ON message (client, number)",
        # By name: readings of clocks (nym.store.clock), how far files were taken over, and what
        # several processes share (keys, which of them are there).
        "CREATE TABLE note (name TEXT PRIMARY KEY, value {bytes} NOT NULL)",
    ]
]


def migrate(engine: Engine, execute: Execute) -> None:
    """Bring the tables to the newest format. Raises StoreError if they have a newer one."""
    execute("CREATE TABLE IF NOT EXISTS format (number INTEGER NOT NULL)")
    rows = execute("SELECT number FROM format")
    ((number,),) = rows or [(0,)]
    if number > len(_STEPS):
        raise StoreError(
            f"{engine.name} was written by a newer version of the program; start that version"
        )
    for step in _STEPS[number:]:
        for statement in step:
            execute(statement.format(**engine.types._asdict()))
    if not rows:
        execute("INSERT INTO format (number) VALUES (:number)", number=len(_STEPS))
    elif number < len(_STEPS):
        execute("UPDATE format SET number = :number", number=len(_STEPS))
