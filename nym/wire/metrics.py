"""Figures for monitoring: as text for Prometheus, and as an object for JSON.

The text is the exposition format, version 0.0.4, and the names and units are those that Prometheus
asks for: `_total` at the end of what only grows, seconds and bytes without prefixes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Sample(NamedTuple):
    """One number. `ending` stands behind the family's name."""

    value: float
    labels: Mapping[str, str] = {}
    ending: str = ""


class Family(NamedTuple):
    """All numbers that have one name."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    about: str  # a sentence
    samples: Sequence[Sample]


def counter(name: str, about: str, value: float) -> Family:
    """A number that only grows."""
    return Family(name, "counter", about, [Sample(value)])


def counters(name: str, about: str, label: str, values: Mapping[str, float]) -> Family:
    """Numbers that only grow, one for each value of a label."""
    return Family(name, "counter", about, _labelled(label, values))


def gauge(name: str, about: str, value: float | None) -> Family:
    """A number as it is now; None if it isn't known."""
    return Family(name, "gauge", about, [] if value is None else [Sample(value)])


def gauges(name: str, about: str, label: str, values: Mapping[str, float]) -> Family:
    """Numbers as they are now, one for each value of a label."""
    return Family(name, "gauge", about, _labelled(label, values))


def info(name: str, about: str, labels: Mapping[str, str]) -> Family:
    """What is always so: the labels say it, and the number is 1."""
    return Family(name, "gauge", about, [Sample(1, labels)])


def histogram(
    name: str, about: str, bounds: Sequence[float], counts: Sequence[int], total: float
) -> Family:
    """How many values there were up to each bound, and, last in `counts`, above all bounds."""
    samples, so_far = [], 0
    for bound, count in zip([*map(_number, bounds), "+Inf"], counts, strict=True):
        so_far += count
        samples.append(Sample(so_far, {"le": bound}, "_bucket"))
    samples += [Sample(total, ending="_sum"), Sample(so_far, ending="_count")]
    return Family(name, "histogram", about, samples)


def total(processes: Iterable[Iterable[Family]]) -> list[Family]:
    """The figures of several processes that are one node, added up; what a node is, only once."""
    families: dict[str, Family] = {}
    for figures in processes:
        for family in figures:
            known = families.get(family.name)
            if known is None:
                families[family.name] = family
            elif not _is_info(family):
                families[family.name] = known._replace(samples=_sum(known, family))
    return list(families.values())


def encode_metrics(families: Iterable[Family]) -> bytes:
    """All families as text for Prometheus."""
    lines: list[str] = []
    for name, kind, about, samples in families:
        lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
        lines += [
            f"{name}{ending}{_labels(labels)} {_number(value)}" for value, labels, ending in samples
        ]
    return "".join(f"{line}\n" for line in lines).encode()


def as_object(families: Iterable[Family]) -> dict[str, object]:
    """The same figures by name, for JSON.

    A name is without what every family of a program has in front, and without `_total`. If there is
    a label, the numbers are by its values. A figure that isn't known is None.
    """
    return {
        re.sub("^nym_[a-z]+_|_total$", "", family.name): _as_value(family) for family in families
    }


def _as_value(family: Family) -> object:
    samples = family.samples
    if family.kind == "histogram":
        buckets = {sample.labels["le"]: sample.value for sample in samples[:-2]}
        return {"count": samples[-1].value, "sum": samples[-2].value, "buckets": buckets}
    if _is_info(family):
        return dict(samples[0].labels)
    if samples and not samples[0].labels:
        return samples[0].value
    return {next(iter(labels.values())): value for value, labels, _ in samples} or None


def _is_info(family: Family) -> bool:
    return family.name.endswith("_info")


def _sum(one: Family, other: Family) -> list[Sample]:
    samples: dict[object, Sample] = {}
    for sample in (*one.samples, *other.samples):
        key = (*sample.labels.items(), sample.ending)
        known = samples.get(key)
        samples[key] = known._replace(value=known.value + sample.value) if known else sample
    return list(samples.values())


def _labelled(label: str, values: Mapping[str, float]) -> list[Sample]:
    return [Sample(value, {label: name}) for name, value in values.items()]


def _labels(labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{name}="{value.translate(_ESCAPED)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _number(value: float) -> str:
    return repr(value) if isinstance(value, int) else f"{value:.10g}"
