"""What must hold at the end of a run, and the table that shows it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from statistics import median

from tests.soaking.ledger import Answer, Kind, Ledger, Message
from tests.soaking.programs import ClientProgram, Program, Sample

# Shares. Plain messages go out once, whatever the network does with them.
MOST_LOST = {Kind.ANONYMOUS: 0.02, Kind.PLAIN: 0.10}
LOST_WITH_A_CLIENT = 5  # what one pull brings, and a kill ends
FLAT = 1.10  # of the last quarter's memory, compared with the second's
SLACK = 6_000  # kB, for what a backlog of the moment takes
MOST_MEMORY = 250_000  # kB, of any client at any time
LONG_ENOUGH = 1200.0  # seconds from which on a slope says something
LINES_A_LIFE, LINES_A_FAULT = 8, 6


def check_messages(ledger: Ledger, clients: Sequence[ClientProgram]) -> None:
    """Each accepted message has exactly one outcome."""
    kills = {client.name: client.kills for client in clients}
    twice: Counter[tuple[Kind, str, str]] = Counter()
    for message in ledger.messages:
        if message.answer is not Answer.ACCEPTED:
            if len(message.arrivals) > 1:
                ledger.violate("a message without an answer arrived twice", str(message))
            continue
        if message.state == "waiting":
            ledger.violate(f"{message.kind}: still waiting at the end", str(message))
        elif message.kind is Kind.RELIABLE:
            _check_reliable(ledger, message)
        elif message.state == "failed" and message.arrivals:
            ledger.violate(f"{message.kind}: arrived and failed", str(message))
        if len(message.arrivals) > 1:
            twice[message.kind, message.sender, message.recipient] += 1
    for (kind, sender, recipient), count in twice.items():
        # docs/reliability.md: a fetch may be repeated when its client is killed, a plain message
        # when its sender is; other messages have ids, and subscribers acknowledge.
        allowed = kills[sender] if kind is Kind.PLAIN else 0
        allowed += 20 * kills[recipient] if is_fetching(recipient, clients) else 0
        if count > allowed:
            ledger.violate(f"{kind}: came more than once", f"{count}, {sender} to {recipient}")
    _check_losses(ledger, sum(kills.values()))


def is_fetching(name: str, clients: Sequence[ClientProgram]) -> bool:
    """Whether this client's application fetches; the others subscribe."""
    return name == clients[-1].name


def check_program(ledger: Ledger, program: Program, hours: float) -> None:
    """Memory and descriptors are flat, the log is short."""
    program.check_log()
    lines = sum(program.log_lines().values())
    most = LINES_A_LIFE * program.lives + LINES_A_FAULT * program.faults + round(60 * hours)
    if isinstance(program, ClientProgram) and lines > most:
        ledger.violate("a log is long", f"{program.name}: {lines} lines, at most {most} expected")
    for samples in program.samples:
        _check_flat(ledger, program.name, samples)


def table(ledger: Ledger, programs: Sequence[Program], faults: Counter[str]) -> Iterable[str]:
    """The result, a line each."""
    heads = ("accepted", "arrived", "twice", "failed", "lost", "waiting")
    yield f"{'':<12}" + "".join(f"{head:>10}" for head in heads)
    for kind in Kind:
        yield f"{kind:<12}" + "".join(f"{_outcomes(ledger, kind)[head]:>10}" for head in heads)
    other = Counter(message.answer for message in ledger.messages)
    yield f"besides, {other[Answer.REFUSED]} were refused, {other[Answer.NONE]} got no answer"
    yield ""
    yield f"{'':<12}{'starts':>10}{'killed':>10}{'MB':>10}{'most':>10}{'files':>10}{'log':>10}"
    for program in programs:
        samples = list(chain(*program.samples))
        memory = [sample.memory / 1000 for sample in samples] or [0.0]
        files = max((sample.descriptors for sample in samples), default=0)
        yield (
            f"{program.name:<12}{program.lives:>10}{program.kills:>10}{median(memory):>10.1f}"
            f"{max(memory):>10.1f}{files:>10}{sum(program.log_lines().values()):>10}"
        )
    yield ""
    yield "faults: " + ", ".join(f"{count} {what}" for what, count in sorted(faults.items()))
    for program in programs:
        for line, count in program.log_lines().most_common(5):
            yield f"{program.name}, {count} times: {line[:150]}"
    yield ""
    for what, count in ledger.violations.items():
        yield f"VIOLATION, {count} times: {what}: {ledger.examples[what]}"
    yield "as promised" if not ledger.violations else "NOT as promised"


def _outcomes(ledger: Ledger, kind: Kind) -> Counter[str]:
    messages = [message for message in ledger.accepted() if message.kind is kind]
    return Counter(
        chain(
            ("accepted" for _ in messages),
            (_outcome(message) for message in messages),
            ("twice" for message in messages if len(message.arrivals) > 1),
        )
    )


def _outcome(message: Message) -> str:
    if message.arrivals:
        return "arrived"
    return {"failed": "failed", "waiting": "waiting"}.get(message.state, "lost")


def _check_reliable(ledger: Ledger, message: Message) -> None:
    if message.state == "failed" and message.arrivals:
        ledger.violate("reliable: arrived, and is reported as failed", str(message))
    if message.state != "failed" and not message.arrivals:
        ledger.violate("reliable: lost without a report", str(message))


def _check_losses(ledger: Ledger, kills: int) -> None:
    for kind, most in MOST_LOST.items():
        outcomes = _outcomes(ledger, kind)
        # A few more in a short run, in which a single fault weighs much.
        allowed = max(most * outcomes["accepted"], 5) + LOST_WITH_A_CLIENT * kills
        if outcomes["lost"] > allowed:
            ledger.violate(f"{kind}: lost", f"{outcomes['lost']} of {outcomes['accepted']}")


def _check_flat(ledger: Ledger, name: str, samples: Sequence[Sample]) -> None:
    if any(sample.memory > MOST_MEMORY for sample in samples):
        ledger.violate("a program takes much memory", name)
    if not samples or samples[-1].at - samples[0].at < LONG_ENOUGH:
        return
    quarter = max(1, len(samples) // 4)
    second, last = samples[quarter : 2 * quarter], samples[-quarter:]
    before, after = (median(sample.memory for sample in part) for part in (second, last))
    if after > FLAT * before + SLACK:
        ledger.violate("memory grows", f"{name}: {before:.0f} kB, then {after:.0f}")
    before, after = (median(sample.descriptors for sample in part) for part in (second, last))
    if after > FLAT * before + 10:
        ledger.violate("descriptors grow", f"{name}: {before:.0f}, then {after:.0f}")
