"""How long to wait for a recipient's answer: as long as its answers took lately (RFC 6298).

The wait is the smoothed round trip, and four times its variation. These rules keep it sane:

- What left more than once gives no sample, because it isn't known which packet was answered (Karn's
  rule). If the wait is shorter than the round trip, everything leaves more than once. So what is
  missed doubles the wait, until there is a sample.
- An acknowledgement is one sample, whatever it answers. It is the longest one: a recipient collects
  what it acknowledges, and the wait must be enough for what it got first.
- What left before something that is answered already is probably lost, or its first answer is. So
  it gives no sample, and doubles nothing.
- After a silence of more than LONGEST_ANSWER, or a time in which no answer could arrive, all is
  forgotten.

A recipient answers when it likes, so it can make the wait as long as LONGEST_ANSWER. That holds up
its own messages only: each recipient is measured by itself. Nothing here is written to disk.
"""

from math import inf

LONGEST_ANSWER = 900.0  # seconds of any wait here, and of a silence after which all is forgotten
_SMOOTHING, _VARYING = 1 / 8, 1 / 4  # shares of the last sample
_VARIATIONS = 4
_FIRST_VARIATION = 1 / 4  # of the first sample: the wait is twice as long as that


class RoundTrip:
    """The round trip to one recipient and back. Clock readings are passed in."""

    def __init__(self) -> None:
        self._smoothed: float | None = None
        self._variation = 0.0
        self._sample = 0.0  # the longest one of the acknowledgement that is being handled
        self._answering = -inf  # when the last thing left that it answers
        self._answered = -inf  # when the last thing left that was answered before
        self._doubled = 0.0  # seconds to wait until there is a sample; 0 if it is enough
        self._doubled_at = -inf
        self._missed = 0  # how many things were missed since then
        self._silent = inf  # when the first thing left that was missed since something was heard

    def wait(self, left: float, least: float) -> float:
        """Return how many seconds to wait for the answer to what left at `left`."""
        # What left so much later is answered, so this is lost, and no longer wait brings an answer.
        if left + least < self._answered:
            return least
        return max(least, self._measured, self._doubled)

    def answered(self, left: float, until: float) -> None:
        """Note that something that left once is answered. `heard` takes this over."""
        if left > self._answered:
            self._sample = max(self._sample, until - left)
            self._answering = max(self._answering, left)

    def heard(self, now: float) -> None:
        """Note that an acknowledgement with something new in it has been handled."""
        sample, self._sample = self._sample, 0.0
        silent, self._silent = self._silent, inf
        if now - silent > LONGEST_ANSWER:
            self.forget(now)
        elif sample:
            self._answered = self._answering
            self._take_over(sample)

    def missed(self, left: float, now: float, wait: float, longest: float, enough: int) -> None:
        """Note that something wasn't answered within `wait` seconds.

        If that happens to `enough` things, the wait doubles, up to `longest` seconds.
        """
        # What left before the wait doubled says nothing about the wait from then on.
        if left < max(self._answered, self._doubled_at):
            return
        self._silent = min(self._silent, left)
        self._missed += 1
        if self._missed >= enough:
            self._missed, self._doubled_at = 0, now
            self._doubled = max(self._doubled, min(2 * wait, longest))

    def forget(self, since: float) -> None:
        """Forget all, unless that was done already. What left before `since` will say nothing."""
        if since > self._answered:
            self._answered = since
            self._smoothed, self._variation, self._doubled = None, 0.0, 0.0
            self._missed, self._silent = 0, inf

    @property
    def _measured(self) -> float:
        return min(LONGEST_ANSWER, (self._smoothed or 0.0) + _VARIATIONS * self._variation)

    def _take_over(self, sample: float) -> None:
        if self._smoothed is None:
            self._smoothed, self._variation = sample, sample * _FIRST_VARIATION
        else:
            error = sample - self._smoothed
            self._variation += (abs(error) - self._variation) * _VARYING
            self._smoothed += error * _SMOOTHING
        self._missed, self._doubled = 0, 0.0
