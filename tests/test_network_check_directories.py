"""What `network check` says about each way in which a directory can't be used."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from nym.errors import CertificateError, DescriptorsError, RemoteError
from nym.localnet.network import Network
from nym.network.check import NetworkCheck, unusable
from nym.network.check.report import Problem
from nym.signing import generate_signer
from nym.wire.clients import AddressList
from nym.wire.directory import Lists, Records, encode_topology
from tests.harness import free_port, running, serving_http
from tests.test_trust import BODY, HOUR, SIGNER, Shelf, header


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def problem_of(url: str, *keys: bytes) -> Problem:
    """What is wrong with this directory."""
    report = NetworkCheck([url], keys).run()
    (problem,) = report.problems
    (directory,) = report.directories
    assert problem.kind == "directory_unusable"
    assert problem.about == f"directory {url}"
    assert directory.trouble == problem.found
    return problem


OTHER = generate_signer()


@pytest.mark.parametrize(
    ("signed", "found", "advice"),
    [
        (lambda: None, "doesn't sign its list of nodes, so the list isn't used", "another program"),
        (lambda: header(OTHER), f"it is signed with another key, {OTHER.address}", "ask those who"),
        (lambda: header(SIGNER, age=HOUR), "is an old copy, and isn't used", "show old copies"),
        (lambda: header(SIGNER, age=-HOUR), "59 min ahead of this machine's", "set the clock"),
        (lambda: header(SIGNER, BODY + b" "), "was changed after", "no web server between"),
        (lambda: "v=2", "isn't in its form", "no web server between"),
    ],
    # The address is another one in each process of pytest-xdist, which must agree on names.
    ids=["unsigned", "other key", "old", "early", "changed", "malformed"],
)
def test_a_list_that_is_not_signed_as_it_has_to_be(
    stack: ExitStack, signed: Callable[[], str | None], found: str, advice: str
) -> None:
    shelf = Shelf(stack)
    shelf.header = signed
    problem = problem_of(shelf.url, SIGNER.public_key)
    assert found in problem.found
    assert "client.directory_key" not in problem.found, "no client takes part"
    assert advice in problem.advice


@pytest.mark.parametrize(
    ("body", "status", "found", "advice"),
    [
        (b"<html>", "200 OK", "there is no Nym directory at", "Something that is no directory"),
        (b"", "404 Not Found", "HTTP status 404", "is its URL right, with its path?"),
        (b"", "502 Bad Gateway", "HTTP status 502", "does the directory run behind it?"),
        (b"", "302 Found", "more than 5 redirects", "give its new URL"),
    ],
)
def test_something_else_answers(
    stack: ExitStack, body: bytes, status: str, found: str, advice: str
) -> None:
    problem = problem_of(stack.enter_context(serving_http(lambda: body, status)))
    assert found in problem.found
    assert advice in problem.advice


def test_nothing_answers() -> None:
    problem = problem_of(f"http://127.0.0.1:{free_port()}")
    assert "Connection refused" in problem.found
    assert problem.advice.startswith("does it run?")


def test_a_directory_that_gives_no_lists_of_clients(stack: ExitStack) -> None:
    network = stack.enter_context(running(Network()))
    records = network._directory.records()
    (provider,) = records.providers
    listing = provider._replace(clients=AddressList.of([bytes(range(1, 33))]))
    told = encode_topology(records._replace(providers=(listing,)), Lists.BY_DIGEST)
    problem = problem_of(stack.enter_context(serving_http(lambda: told)))
    assert "clients can't get the lists of clients from it" in problem.found
    assert problem.advice.startswith("check again")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (CertificateError("its certificate isn't trusted"), "has the certificate expired?"),
        (DescriptorsError("no more files can be opened"), "is on this machine"),
        (RemoteError("anything else"), "is its URL right?"),
    ],
)
def test_what_is_hard_to_bring_about(error: RemoteError, advice: str) -> None:
    assert advice in unusable.advice(error)


def test_directories_may_answer_side_by_side_with_lists_of_different_ages(stack: ExitStack) -> None:
    shelves = Shelf(stack), Shelf(stack)
    for shelf, age in zip(shelves, (0.0, HOUR / 12), strict=True):
        shelf.body = encode_topology(Records())
        shelf.header = partial(header, SIGNER, shelf.body, age)
    check = NetworkCheck([shelf.url for shelf in shelves], [SIGNER.public_key])
    check.run()  # in the next one, the older list is older than one of the same key that was seen
    report = check.run()
    assert [directory.verified for directory in report.directories] == [True, True]
