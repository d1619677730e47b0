"""`network check` prints how a whole network is: a table of its nodes, and what is wrong.

With --watch, it checks again and again, and prints only what has changed. So the end of a terminal
has the latest news, and a log gets no lines while nothing happens.
"""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from nym.cli import Options
from nym.cli.nodes import size, verified
from nym.cli.options import checked
from nym.cli.output import say
from nym.config.checks import check_directories, check_directory_keys, listed
from nym.errors import UsageError
from nym.net.descriptors import raise_limit
from nym.network.check import NetworkCheck
from nym.network.check.report import CheckReport, DirectoryReport, NodeReport, Problem
from nym.network.plan import Plan, load_plan
from nym.timing import Fixed, duration
from nym.wire.keys import decode_base58
from nym.wire.text import visible

PERIOD = 60.0  # seconds from one check to the next, with --watch
MOST_ROWS = 60  # nodes in the table; of more, only those that lose loops or can't be used
MOST_PROBLEMS = 30  # that are told in words
DESCRIPTORS = 4096  # enough for a check of a large network, with its connections
WELL = "all is well"
_KEY = 8  # characters of a key in the table
_LONGEST_LINE = 2000  # characters


def check_network(options: Options) -> int:
    """Check the network once, or until Ctrl-C; returns the exit code."""
    plan = load_plan(Path(options["PLAN"])) if options["PLAN"] else None
    urls, keys = _directories(options, plan)
    raise_limit(DESCRIPTORS)
    check = NetworkCheck(urls, [decode_base58(key) for key in keys], plan)
    report = check.run()
    if options["--json"]:
        _say_json(report)
    else:
        for line in lines(report):
            _say(line)
    if options["--watch"]:
        _watch(check, report, is_json=options["--json"])
    if not report.is_reachable:
        return 4
    return 1 if report.problems else 0


def _directories(options: Options, plan: Plan | None) -> tuple[list[str], list[str]]:
    """The URLs of the directories, and their keys in base58: those given, or those of the plan."""
    given, key = options["--directory"], options["--directory-key"]
    keys = listed(checked("--directory-key", key or "", check_directory_keys))
    if given is not None:
        return listed(checked("--directory", given, check_directories)), keys
    if plan is None:
        raise UsageError("which network? Name its directory with --directory URL, or its plan")
    return [host.url for host in plan.directories()], keys or plan.directory_keys()


class News:
    """What has changed since the check before."""

    def __init__(self, report: CheckReport) -> None:
        self._problems: dict[tuple[str, str], Problem] = {}
        self._nodes: dict[str, NodeReport] = {}
        self._follow(report)

    def lines(self, report: CheckReport) -> Iterator[str]:
        """Yield a line, or two, for each change that this check found."""
        problems, nodes = self._problems, self._nodes
        self._follow(report)
        for name in self._nodes.keys() - nodes.keys():
            yield f"new    {name}"
        for name in nodes.keys() - self._nodes.keys():
            yield f"gone   {name}"
        for name in nodes.keys() & self._nodes.keys():
            if nodes[name].key != self._nodes[name].key:
                yield f"key    {name} has another key: {self._nodes[name].key}"
        for what in problems.keys() - self._problems.keys():
            yield f"over   {problems[what].about}: {problems[what].found}"
        for what in self._problems.keys() - problems.keys():
            yield from _words(self._problems[what])
        if problems and not self._problems:
            yield WELL

    def _follow(self, report: CheckReport) -> None:
        self._problems = {(problem.kind, problem.about): problem for problem in report.problems}
        if report.is_reachable:  # otherwise no news of the nodes
            self._nodes = {node.name: node for node in report.nodes}


def _watch(check: NetworkCheck, report: CheckReport, *, is_json: bool) -> None:
    """Go on checking for ever, after a first `report`."""
    news, schedule = News(report), Fixed(PERIOD, time.monotonic())
    while True:
        schedule.advance(time.monotonic())
        time.sleep(max(0.0, schedule.deadline - time.monotonic()))
        report = check.run()
        if is_json:
            _say_json(report)
        for line in [] if is_json else news.lines(report):
            _say(f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(report.began))}  {line}")


def _say_json(report: CheckReport) -> None:
    say(json.dumps(report.as_json()))


def _say(line: str) -> None:
    # What a provider or a node said can be in it.
    say(visible(line, _LONGEST_LINE))


def lines(report: CheckReport) -> Iterator[str]:
    """Everything about a network, for people."""
    for directory in report.directories:
        yield f"directory  {_directory(directory)}"
    if report.is_reachable:
        yield f"network    {size(report.layers, report.providers)}"
        yield f"loops      {_loops(report)}"
        yield from _table(report.nodes)
    for problem in report.problems[:MOST_PROBLEMS]:
        yield from _words(problem)
    if (more := len(report.problems) - MOST_PROBLEMS) > 0:
        yield f"and {more} more things are wrong, which --json lists"
    if not report.problems:
        yield WELL


def _directory(report: DirectoryReport) -> str:
    if report.trouble is not None:
        return f"{report.url}: can't be used"
    text = f"{report.url}, {verified(bool(report.verified))}"
    if report.digest:
        text += f"; view {report.digest}"
    return text


def _loops(report: CheckReport) -> str:
    if not report.loops_sent:
        return "none could be sent"
    late = "" if report.latency_ms is None else f"; {report.latency_ms:.0f} ms beyond their delays"
    return f"{report.loops_sent} sent, {report.loops_lost} lost{late}"


def _words(problem: Problem) -> Iterator[str]:
    yield f"wrong  {problem.about}: {problem.found}"
    yield f"       {problem.advice}"


def _table(nodes: Sequence[NodeReport]) -> Iterator[str]:
    """A table of the nodes, or of those that need a look if there are many."""
    shown = list(nodes)
    if len(nodes) > MOST_ROWS:
        shown = [node for node in nodes if node.loops_lost or node.trouble is not None][:MOST_ROWS]
    rows: list[tuple[str, ...]] = [
        ("node", "address", "key", "age", "version", "reached", "loops", "lost", "latency")
    ]
    rows += map(_row, shown)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
    if len(shown) < len(nodes):
        yield f"and {len(nodes) - len(shown)} more nodes, which --json lists"


def _row(node: NodeReport) -> tuple[str, ...]:
    return (
        f"layer {node.layer}" if node.layer else "provider",
        node.address,
        node.key[:_KEY],
        "" if node.key_age is None else duration(node.key_age),
        visible((node.version or "none").partition("+")[0]),
        _reached(node),
        str(node.loops_sent),
        str(node.loops_lost),
        "" if node.latency_ms is None else f"{node.latency_ms:.0f} ms",
    )


def _reached(node: NodeReport) -> str:
    if not node.reached:
        return "no"
    if node.clients_reached is False:
        return "not by clients"
    return "yes, sealed line" if node.sealed_line else "yes"
