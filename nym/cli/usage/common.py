"""Options that several commands have."""

from nym.cli.command import Option

# `init` and `delete` name their client: they make or destroy keys, and must not guess whose.
ID = Option("--id", "the client's name on this machine", "ID", kind="client")

# The other commands take the only client, if there is only one (nym.cli.options.only_client).
OPTIONAL_ID = ID._replace(what=f"{ID.what}; needed if there are several")

# Those that are for nodes as well.
ANY = ID._replace(what="the name of the client or node on this machine", kind="program")
OPTIONAL_ANY = ANY._replace(what=f"{ANY.what}; needed if there are several")


METRICS = Option(
    "--metrics",
    "where Prometheus reads figures; otherwise logging.metrics decides, which is nowhere at first",
    "HOST:PORT",
)


def json_output(what: str) -> Option:
    """`--json`, with what it prints."""
    return Option("--json", what)
