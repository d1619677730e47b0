"""The command line of the simulation of networks, and all drawings that benchmarks make."""

import json
import subprocess
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import drawings, measure
from benchmarks.network import figures
from benchmarks.network.plot import Axis, Line, draw
from tests.harness import PATIENCE, beside

pytestmark = pytest.mark.no_cover

SVG = "{http://www.w3.org/2000/svg}"
DOCUMENTS = Path(__file__).parent.parent / "docs"


def command(*options: str) -> str:
    words = [sys.executable, "-m", "benchmarks", "network", *options]
    return str(beside(subprocess.check_output, words, text=True, timeout=PATIENCE))


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - it is ours


def test_a_network_is_simulated_as_chosen() -> None:
    options = ("--clients", "50", "--layers", "2", "--seconds", "20", "--message-gap", "2")
    found = json.loads(command(*options, "--width", "3", "--reliable", "--json"))
    assert (found["clients"], found["mixnodes per layer"], found["providers"]) == (50, 3, 1)
    assert found["packets per second"] == 200
    assert 300 < found["messages measured"] < 700
    assert 0 < found["latency, median"] < found["latency, 99 %"]
    assert 0 < found["entropy of the sender, bits"] < 5.7
    # The same again, for people.
    table = command(*options, "--width", "3", "--reliable")
    assert f"{found['latency, median']:,.6g}" in table


def test_axes_have_round_ticks() -> None:
    assert Axis("", 0, 1).ticks() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert Axis("", 1, 4, step=1).ticks() == [1, 2, 3, 4]
    assert Axis("", 0.5, 50, is_log=True).ticks() == pytest.approx([0.5, 1, 2, 5, 10, 20, 50])
    assert Axis("", 0.5, 25000, is_log=True).ticks() == pytest.approx([1, 10, 100, 1000, 10000])
    assert Axis("", 0.1, 1000, is_log=True).share(10) == pytest.approx(0.5)


def test_a_drawing_has_its_lines_and_says_what_made_it() -> None:
    x, y = Axis("a & b", 0, 10), Axis("c", 0, 1)
    lines = [Line("rising", [(0, 0), (5, 0.5), (10, 1)]), Line("dots", [(5, 0.5), (6, 2)], True)]
    root = parsed(draw("title", "a command <x>", x, y, lines))
    assert root.findtext(f"{SVG}desc") == "Made by a command <x>"
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"title", "a & b", "c", "rising", "dots"} <= set(texts)
    line, key = root.iter(f"{SVG}polyline")
    places = [place.split(",") for place in line.attrib["points"].split()]
    across, up = ([float(place[i]) for place in places] for i in (0, 1))
    assert across[1] - across[0] == pytest.approx(across[2] - across[1], abs=0.2)
    assert up == sorted(up, reverse=True)
    assert key.attrib["points"] != line.attrib["points"]
    # A dot that would be outside is left out; the other one explains them.
    assert len(list(root.iter(f"{SVG}circle"))) == 2


@pytest.mark.parametrize(
    ("document", "drawn", "way"),
    [
        ("scale", figures.FIGURES, "network --draw docs/scale --seed 1"),
        ("performance", drawings.FIGURES, "drawings --draw docs/performance"),
    ],
)
def test_the_document_shows_all_drawings_and_no_other_ones(
    document: str, drawn: Collection[str], way: str
) -> None:
    text = (DOCUMENTS / f"{document}.md").read_text()
    found = {path.stem for path in (DOCUMENTS / document).iterdir()}
    assert found == set(drawn)
    assert f"python -m benchmarks {way}" in text
    for name in found:
        assert f"]({document}/{name}.svg)" in text
        root = parsed((DOCUMENTS / document / f"{name}.svg").read_text())
        assert root.findtext(f"{SVG}desc") == f"Made by python -m benchmarks {way}"


def test_a_drawing_can_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "FIGURES", {"dishonest": figures.FIGURES["dishonest"]})
    monkeypatch.setattr(figures, "SMALL", replace(figures.SMALL, clients=50))
    figures.draw_all(tmp_path / "new", 1)
    root = parsed((tmp_path / "new" / "dishonest.svg").read_text())
    dots = [float(dot.attrib["cy"]) for dot in root.iter(f"{SVG}circle")][:-1]
    assert len(dots) == 11
    assert dots == sorted(dots, reverse=True)  # the more are dishonest, the higher


def test_the_drawings_of_performance_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "ROUNDS", 1)
    monkeypatch.setattr(measure, "ROUND_TIME", 0.001)
    monkeypatch.setattr(drawings, "_NODES", (10, 30, 100, 300))
    drawings.draw_all(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == set(drawings.FIGURES)
    for path in tmp_path.iterdir():
        for line in parsed(path.read_text()).iter(f"{SVG}polyline"):
            assert len(line.attrib["points"].split()) > 1
