"""`network view` lists the nodes that a client uses, and a digest that people can compare.

The command's other words are for those who run a network (nym.cli.planning, generating,
network_check).
"""

import json
from typing import Any

from nym.cli import Options
from nym.cli.control import control
from nym.cli.homes import existing_folder
from nym.cli.nodes import directory_row, network_rows
from nym.cli.output import complain, say
from nym.config.file import load_config
from nym.errors import NotRunningError
from nym.reports import network_details
from nym.wire.reports import NetworkReport
from nym.wire.text import visible_url


def network(options: Options) -> int:
    """Carry out the command's word."""
    # Imported here because few need them.
    if options["plan"]:
        from nym.cli.planning import plan

        return plan(options)
    if options["generate"]:
        from nym.cli.generating import generate

        return generate(options)
    if options["check"]:
        from nym.cli.network_check import check_network

        return check_network(options)
    return _view(options)


def _view(options: Options) -> int:
    """List the nodes that the running client uses, or those that it would use at a first start."""
    client_id = options["--id"]
    try:
        with control(client_id) as client:
            view = client.ask(type="network")
    except NotRunningError:
        complain(f'the client "{client_id}" doesn\'t run: this is what the directory lists now')
        view = _at_first_sight(client_id)
    if options["--json"]:
        say(json.dumps(view))
        return 0
    for name, value in _rows(view):
        say(f"{name:<12}{value}")
    return 0


def _at_first_sight(client_id: str) -> dict[str, Any]:
    """What a client would use that has never seen this network before.

    It has the form of the client's own answer.
    """
    from nym.client.judging import first_sight  # imported here because they are slow to load
    from nym.net.outward import outward

    config = load_config(existing_folder(client_id))
    outward.settle(config.client)
    (topology, judgement, _), listing = first_sight(config)
    details = network_details(topology, topology.digest(), judgement.left_out)._replace(
        directory=visible_url(listing.directory), directory_verified=listing.key is not None
    )
    return {"type": "network", **details._asdict()}


def _rows(view: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows of the table: a summary, then each node, with its layer or `provider`."""
    layers, providers = view["layers"], view["providers"]
    counts: NetworkReport = {
        "layers": [len(layer) for layer in layers],
        "providers": len(providers),
        "left_out": view["left_out"],
        "digest": view["digest"],
    }
    return [
        directory_row(view),
        *network_rows(counts),
        *(
            (f"layer {number}", f"{node['key']}  {node['address']}")
            for number, layer in enumerate(layers, 1)
            for node in layer
        ),
        *(
            (
                "provider",
                f"{node['key']}  {node['address']}, for clients {node['client_address']}; "
                f"{node['clients']} client{'' if node['clients'] == 1 else 's'}",
            )
            for node in providers
        ),
    ]
