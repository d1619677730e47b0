"""Clients, each in a process of its own, and programs that talk through them."""

import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from random import Random

import gevent

import nym
from nym.config.file import load_config, save_config
from tests.harness import Program, free_port, wait_until
from tests.soaking.programs import faster

ADDRESSES = 3  # of each client: its main one, and as many reply addresses as are usual
MOST_BYTES = 700  # of a message: one packet holds it
SILENCE = 180.0  # seconds after which who asked begins anew: an answer was given up, or a question
AGAIN = 1.0  # seconds until something that was refused is tried again


@dataclass
class Ledger:
    """What was said in one conversation, by number, and what became of it."""

    said: dict[int, tuple["Person", str]] = field(default_factory=dict)  # accepted: by whom, its id
    unknown: set[int] = field(default_factory=set)  # the client went away before it answered
    heard: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    refused: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    anew: int = 0


class Person:
    """One client, and the connection of its user's program."""

    def __init__(self, name: str, folder: Path, directory: str, speed: float, life: float) -> None:
        self.name = name
        self.moments: list[float] = []  # when the program said something, or heard something
        self._home = folder / name
        self._log = folder / f"{name}.log"
        self._port = free_port()
        self._run("init", "--id", name, "--directory", directory).wait()
        place = self._home / "nym" / "clients" / name
        config = load_config(place)
        client = replace(config.client, reply_lifetime=life)
        save_config(replace(config, traffic=faster(speed), client=client), place)
        self._process = self._start()
        self.program = nym.connect(port=self._port, patience=120.0)

    def wait_until_registered(self) -> None:
        """Wait until the provider knows all addresses."""

        def is_registered() -> bool:
            with suppress(nym.Error):
                status = self.program.status()
                free: int = status["reply_addresses"]["free"]
                return bool(status["registered"]) and free == ADDRESSES - 1
            return False

        wait_until(is_registered, f"{self.name}'s addresses")

    def waiting(self) -> int:
        """How many messages wait."""
        waiting: int = self.program.status()["outbox"]
        return waiting

    def restart(self, *, is_killed: bool) -> None:
        """End the client, and start it again."""
        if is_killed:
            self._process.kill()
        else:
            self._process.terminate()
        self._process.wait()
        self._process = self._start()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()

    @contextmanager
    def hearing(self, ledger: Ledger) -> Iterator[Iterator[nym.Message | None]]:
        """What comes, or None after a long silence."""
        with self.program.messages(timeout=SILENCE) as messages:

            def heard() -> Iterator[nym.Message | None]:
                while True:
                    try:
                        message = next(messages, None)
                    except nym.NotRunningError:
                        continue  # it is being restarted, and the loop goes on when it is back
                    if message:
                        self.moments.append(time.monotonic())
                        ledger.heard[number_in(message)].add(f"{self.name} {message.id}")
                    yield message

            yield heard()

    def _start(self) -> subprocess.Popen[bytes]:
        return self._run("tcpsocket", "--id", self.name, "--port", str(self._port))

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*Program.command, *arguments],
                env=os.environ | {"XDG_CONFIG_HOME": str(self._home)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


class Conversation(ABC):
    """Two people: one asks, the other one answers, each after some thought."""

    def __init__(self, asker: Person, other: Person, thought: float, random: Random) -> None:
        self.people = (asker, other)
        self.ledger = Ledger()
        self.is_over = False
        self._numbers = count(1)
        self._thought = thought
        self._random = random
        self._talking: list[gevent.Greenlet[[], None]] = []

    def start(self) -> None:
        """Begin to talk; `is_over` ends it before the next question."""
        self._talking = [gevent.spawn(self._ask), gevent.spawn(self._answer)]

    def check(self) -> None:
        """Raise what has ended one of the two before the other one."""
        for talking in self._talking:
            if talking.ready():
                talking.get()

    def stop(self) -> None:
        """Hear nothing more."""
        gevent.killall(self._talking)

    def judge(self, *, may_fail: bool) -> list[str]:
        """What has not exactly one outcome; and with `may_fail`, failures are no fault."""
        ledger, wrong = self.ledger, []
        for number, (person, message_id) in ledger.said.items():
            state = person.program.progress(message_id).state
            if state == "waiting" or (state != "done" and not may_fail):
                wrong.append(f"message {number} of {person.name} is {state}")
            if state == "done" and not ledger.heard[number]:
                wrong.append(f"message {number} of {person.name} is done, and never arrived")
        wrong += [
            f"message {number} arrived as {', '.join(sorted(heard))}"
            for number, heard in ledger.heard.items()
            if len(heard) > 1
        ]
        return wrong

    @abstractmethod
    def question(self, last: nym.Message | None, text: str) -> str:
        """Ask: after the last answer, or anew. The message's id."""

    @abstractmethod
    def answer(self, question: nym.Message, text: str) -> str:
        """Answer a question. The message's id."""

    def _ask(self) -> None:
        asker, last = self.people[0], None
        with asker.hearing(self.ledger) as heard:
            while not self.is_over:
                self._think()
                if not self._say(asker, partial(self.question, last)):
                    last = None
                    gevent.sleep(AGAIN)
                    continue
                last = next(heard)
                self.ledger.anew += last is None
            while True:
                next(heard)

    def _answer(self) -> None:
        other = self.people[1]
        with other.hearing(self.ledger) as heard:
            for question in heard:
                if question:
                    self._think()
                    self._say(other, partial(self.answer, question))

    def _say(self, person: Person, hand_over: Callable[[str], str]) -> bool:
        """Say something; whether the other one may hear it."""
        number = next(self._numbers)
        person.moments.append(time.monotonic())
        try:
            message_id = hand_over(text_of(number, self._random))
        except nym.UnknownOutcomeError:
            self.ledger.unknown.add(number)
            return True
        except (nym.NotRunningError, nym.NoReplyAddressError, nym.NoSuchTagError) as error:
            self.ledger.refused[type(error).__name__] += 1
            return False
        self.ledger.said[number] = person, message_id
        return True

    def _think(self) -> None:
        gevent.sleep(self._random.expovariate(1 / self._thought))


class ByAnswers(Conversation):
    """Nobody but the one whom the first question of all goes to shows an address."""

    def question(self, last: nym.Message | None, text: str) -> str:
        """See Conversation."""
        asker, other = (person.program for person in self.people)
        if last is None:
            return asker.send(other.address, text, reliable=True, anonymous_reply=True)
        return asker.reply(last, text, reliable=True)

    def answer(self, question: nym.Message, text: str) -> str:
        """See Conversation."""
        other = self.people[1].program
        return other.reply(question, text, reliable=True, anonymous_reply=True)


class ByName(Conversation):
    """Both use the addresses by which people know them."""

    def question(self, last: nym.Message | None, text: str) -> str:
        """See Conversation."""
        asker, other = (person.program for person in self.people)
        return asker.send(other.address, text, reliable=True)

    def answer(self, question: nym.Message, text: str) -> str:
        """See Conversation."""
        assert question.sender
        return self.people[1].program.send(question.sender, text, reliable=True)


def text_of(number: int, random: Random) -> str:
    """A message with a number in it."""
    return str(number).ljust(random.randrange(10, MOST_BYTES))


def number_in(message: nym.Message) -> int:
    """The number in a message."""
    return int(message.text)
