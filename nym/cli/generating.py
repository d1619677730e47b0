"""`network generate` writes what the hosts of a planned network need."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from nym.cli import Options
from nym.cli.output import complain, say
from nym.errors import UsageError
from nym.network import compose, homes, kubernetes, systemd
from nym.network.generated import Fate, File, Generated
from nym.network.homes import Network, with_identities
from nym.network.plan import load_plan
from nym.network.weak import weaknesses

_ENGINES: dict[str, Callable[[Network], Iterator[File]]] = {
    "systemd": systemd.files,
    "compose": compose.files,
    "kubernetes": kubernetes.files,
}


def generate(options: Options) -> int:
    """Write the files, and say what is new, what has changed, and what to do next."""
    engine = options["--for"]
    if engine not in _ENGINES:
        raise UsageError(f"--for {engine}: it must be one of {', '.join(_ENGINES)}")
    plan = load_plan(Path(options["PLAN"]))
    generated = Generated(Path(options["DIR"]))
    network = with_identities(plan, generated)
    generated.write(chain(homes.files(network), _ENGINES[engine](network)))
    for path, fate in generated.fates.items():
        if fate is not Fate.SAME:
            say(f"{fate.value:<11}{path}")
    for path in generated.close():
        say(f"{'unused':<11}{path}")
    for weakness in weaknesses(plan):
        complain(f"weak: {weakness}")
    say(f"{generated.folder / 'README.md'} says what to do next")
    return 0
