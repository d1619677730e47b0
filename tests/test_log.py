"""The log: other people's texts made harmless, and reports of unforeseen errors.

Each test runs a script in a process of its own, because the log is set up once per process.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import PATIENCE

ROOT = Path(__file__).parent.parent
BEGIN = """
from gevent import monkey; monkey.patch_all()
import gevent, logging, os, resource, sys
from nym.cli import run
from nym.cli.log import set_up_log
from nym.config import LoggingSettings
log = logging.getLogger("nym.test")
def install(settings):
    run(["contacts", "list"])
    set_up_log(settings)
def fail(number=0):
    if number % 2:
        raise KeyError("a hidden value")
    raise RuntimeError("a hidden value")
def no_descriptors():
    free = os.dup(0); os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
"""
# A format and an argument with escapes, line breaks and hidden characters, as peers may send them.
HOSTILE = r'"\x1b[31m%s\n2020-01-01 00:00:00 INFO forged \u202e\x9b", "red\r\nline"'


def run_python(home: Path, script: str, **environment: str) -> str:
    """Run the script after BEGIN in a process of its own; return its standard error."""
    ran = subprocess.run(
        [sys.executable, "-c", BEGIN + script],
        env={"XDG_CONFIG_HOME": str(home), "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )
    return ran.stderr.decode()


def reports(home: Path) -> list[Path]:
    return list((home / "nym").glob("crash-*.txt"))


@pytest.mark.parametrize(
    ("settings", "begin"),
    [
        ("LoggingSettings()", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d WARNING "),
        ("LoggingSettings(format='json')", r'\{"time": .*"message": "'),
        ("None", "nym-client: "),
    ],
)
def test_what_peers_say_is_one_line_that_shows_everything(
    tmp_path: Path, settings: str, begin: str
) -> None:
    err = run_python(tmp_path, f"install({settings}); log.warning({HOSTILE})")
    shown = r"\x1b[31mred\r\nline\n2020-01-01 00:00:00 INFO forged \u202e\x9b"
    (line,) = err.splitlines()
    assert re.match(begin, line)
    assert shown in (json.loads(line)["message"] if line[0] == "{" else line)


def test_warnings_of_libraries_come_here_too(tmp_path: Path) -> None:
    err = run_python(tmp_path, 'install(None); import warnings; warnings.warn("\\x1b[31m\\nx")')
    (line,) = err.splitlines()
    assert line.startswith("nym-client: ")
    assert r"\x1b[31m\nx" in line


@pytest.mark.parametrize("place", ["greenlet", "hub", "thread"])
def test_one_report_for_a_cause_wherever_it_is_met(tmp_path: Path, place: str) -> None:
    how = {
        "greenlet": "gevent.spawn(fail)",
        "hub": "gevent.get_hub().loop.run_callback(fail)",
        "thread": "gevent.get_hub().threadpool.spawn(fail).wait()",
    }[place]
    script = f"install(LoggingSettings())\nfor _ in range(9):\n    {how}\n    gevent.sleep(0.01)"
    lines = run_python(tmp_path, script).splitlines()
    assert len(lines) == 4
    assert re.search(r"a greenlet died: an error that should not happen \(RuntimeError\)", lines[0])
    (report,) = reports(tmp_path)
    for line, times in zip(lines[1:], (2, 4, 8), strict=True):
        assert f"a greenlet died: again, {times} times by now: an error" in line
        assert line.endswith(str(report))
    assert re.search(r"^builtins.RuntimeError$.*:\d+ fail$", report.read_text(), re.M | re.S)
    assert "hidden" not in report.read_text() + "".join(lines)


def test_a_command_that_has_set_up_no_log_prints_no_traceback_either(tmp_path: Path) -> None:
    err = run_python(tmp_path, "run(['contacts', 'list']); gevent.spawn(fail).join()")
    assert re.fullmatch(r"nym-client: a greenlet died: an error .*crash-.*\.txt\n", err)


def test_two_causes_are_two_reports(tmp_path: Path) -> None:
    run_python(tmp_path, "install(None)\nfor n in range(9): gevent.spawn(fail, n).join()")
    assert len(reports(tmp_path)) == 2


def test_without_descriptors_it_says_where_and_why_there_is_no_report(tmp_path: Path) -> None:
    err = run_python(
        tmp_path,
        "install(None); no_descriptors()\nfor _ in range(2): gevent.spawn(fail).join()\n"
        "gevent.get_hub().loop.run_callback(lambda: os.pipe()); gevent.sleep(0.01)\n"
        "gevent.spawn(os.pipe).join()\n",
    )
    first, again, limit = err.splitlines()
    assert re.search(
        r"\(RuntimeError\) at <string>:\d+ fail, and no report could be written: .*Too many", first
    )
    assert "again, 2 times by now" in again
    assert re.match(r"nym-client: this process has reached its limit .*LimitNOFILE=", limit)
    assert not reports(tmp_path)


def test_without_memory_it_is_still_a_line(tmp_path: Path) -> None:
    err = run_python(
        tmp_path,
        "from nym.cli import crash\ninstall(None)\n"
        "def nothing_left(*_): raise MemoryError\n"
        "crash._sentence = nothing_left\ngevent.spawn(fail).join()",
    )
    assert err.splitlines() == [
        "nym-client: a greenlet died: an error that should not happen (RuntimeError), and no "
        "memory is left"
    ]


def test_a_part_that_dies_again_and_again_is_told_seldom(tmp_path: Path) -> None:
    err = run_python(
        tmp_path,
        "from nym.net import watch; from random import Random\ninstall(LoggingSettings())\n"
        "watch.FIRST_RESTART = watch.LONGEST_RESTART = 0.001\nruns = [0, 0]\n"
        "def die(): runs[0] += 1; fail()\n"
        "def end(): runs[1] += 1\n"
        "parts = watch.Watch(Random(1)); parts.start('one', die); parts.start('two', end)\n"
        "while min(runs) < 20: gevent.sleep(0.01)\n"
        "parts.stop()",
    )
    assert err.count("two ended by itself") == 1
    assert 5 <= err.count("one died; it is started again: ") <= 12
    assert len(reports(tmp_path)) == 1


def test_standard_error_may_be_closed(tmp_path: Path) -> None:
    script = (
        "install(LoggingSettings()); log.warning('nobody reads'); gevent.spawn(fail).join()\n"
        "print(sys.stderr)"
    )
    command = '"$0" -c "$1" 2>&-'
    ran = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, BEGIN + script],
        env={"XDG_CONFIG_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
    )
    assert ran.stdout.splitlines()[-1] == b"None"


def test_an_error_before_the_log_is_set_up_is_one_in_the_journal(tmp_path: Path) -> None:
    command = (
        'set -- "$@"; JOURNAL_STREAM=$(stat -L -c %d:%i /dev/stderr) exec "$@" '
        "tcpsocket --id nobody"
    )
    ran = subprocess.run(
        ["/bin/sh", "-c", command, "sh", sys.executable, "-m", "nym"],
        env={"XDG_CONFIG_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 5
    assert all(line.startswith(b"<3>") for line in ran.stderr.splitlines())
    assert ran.stderr.startswith(b"<3>nym-client: ")


def test_what_is_said_while_a_command_is_loaded_has_its_form_too(tmp_path: Path) -> None:
    err = run_python(
        tmp_path,
        "import nym.cli, warnings\n"
        "load = nym.cli.import_module\n"
        "def warn(name):\n"
        "    warnings.warn('old'); log.warning('on the way')\n"
        "    return load(name)\n"
        "nym.cli.import_module = warn\n"
        "assert nym.cli.run(['address', '--id', 'nobody']) == 5",
    )
    assert len(err.splitlines()) == 3
    assert all(line.startswith("nym-client: ") for line in err.splitlines())


def test_a_commands_warning_has_its_level_and_its_form_in_the_journal(tmp_path: Path) -> None:
    err = run_python(
        tmp_path,
        "import os; status = os.fstat(2)\n"
        "os.environ['JOURNAL_STREAM'] = f'{status.st_dev}:{status.st_ino}'\n"
        "install(None); log.warning('look'); install(LoggingSettings()); log.warning('look')",
    )
    assert err.splitlines() == ["<4>nym-client: look", "<4>look"]
