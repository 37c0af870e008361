"""What a problem may ask of our implementations, and whether a measurement meets it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.peers import OURS
from bench.timing import Timing, seconds_to_text


@dataclass(frozen=True)
class Measured:
    """What a problem's targets are about: its timings, and the time that its arithmetic takes at the machine's peak."""

    timings: Sequence[Timing]
    peak_seconds: float = 0.0

    @property
    def ours(self) -> float | None:
        """The least time of all of ours."""
        return self.fastest(OURS)

    def fastest(self, peer: str, with_excused: bool = False) -> float | None:
        """Return the least time of a peer's implementations, or of all peers' ("best"); None if none was timed."""
        return least(
            timing
            for timing in self.timings
            if (timing.implementation.peer == peer or (peer == "best" and timing.implementation.peer != OURS))
            and (with_excused or not timing.implementation.excuse)
        )

    def labelled(self, label: str) -> float | None:
        """Return the time of ours of that label."""
        ours = (timing for timing in self.timings if timing.implementation.peer == OURS)
        return least(timing for timing in ours if timing.implementation.label == label)

    def own(self, tuned: bool) -> float | None:
        """Return the least time of our closed forms, or of what we derive."""
        ours = (timing for timing in self.timings if timing.implementation.peer == OURS)
        return least(timing for timing in ours if timing.implementation.tuned == tuned)


def least(timings: Iterable[Timing]) -> float | None:
    """Return the least minimum of those that were timed."""
    return min((timing.minimum for timing in timings if timing.samples), default=None)


@dataclass(frozen=True)
class Verdict:
    """Whether a target is met, and what was reached instead."""

    met: bool
    reached: str


def times(ratio: float) -> str:
    return f"{ratio:.2f}×"


@dataclass(frozen=True)
class AtLeast:
    """The best implementation of a peer, or of all peers, takes at least `ratio` times as long as ours."""

    ratio: float
    against: str = "best"

    def __str__(self) -> str:
        return f"≥ {self.ratio:g}×" + ("" if self.against == "best" else f" {self.against}")

    def verdict(self, measured: Measured) -> Verdict | None:
        ours, rival = measured.ours, measured.fastest(self.against)
        return Verdict(rival >= self.ratio * ours, times(rival / ours)) if ours and rival else None


@dataclass(frozen=True)
class WithinOwn:
    """What we derive takes at most `ratio` times as long as our closed form."""

    ratio: float = 1.15

    def __str__(self) -> str:
        return f"derived ≤ {self.ratio:g} × closed form"

    def verdict(self, measured: Measured) -> Verdict | None:
        derived, tuned = measured.own(tuned=False), measured.own(tuned=True)
        return Verdict(derived <= self.ratio * tuned, times(derived / tuned)) if derived and tuned else None


@dataclass(frozen=True)
class WithinOther:
    """Ours of one label takes at most `ratio` times as long as ours of another, and `seconds`."""

    label: str
    other: str = "compile"
    ratio: float = 1.0
    seconds: float = 0.0

    def __str__(self) -> str:
        allowed = f"{self.ratio:g} × {self.other}" if self.ratio != 1 else self.other
        return f"{self.label} ≤ {allowed}" + (f" + {seconds_to_text(self.seconds)}" if self.seconds else "")

    def verdict(self, measured: Measured) -> Verdict | None:
        one, other = measured.labelled(self.label), measured.labelled(self.other)
        if not one or not other:
            return None
        reached = f"{(one - other) * 1e6:+.3g} µs" if self.seconds else times(one / other)
        return Verdict(one <= self.ratio * other + self.seconds, reached)


@dataclass(frozen=True)
class OfPeak:
    """Ours does arithmetic at `share` of the rate of multiply-adds that was measured on all cores."""

    share: float

    def __str__(self) -> str:
        return f"≥ {100 * self.share:g} % of FMA peak"

    def verdict(self, measured: Measured) -> Verdict | None:
        if not measured.ours:
            return None
        reached = measured.peak_seconds / measured.ours
        return Verdict(reached >= self.share, f"{100 * reached:.0f} %")


@dataclass(frozen=True)
class AtMostOver:
    """Ours takes at most `seconds` longer than the fastest of a peer, counted or not."""

    seconds: float
    against: str

    def __str__(self) -> str:
        return f"≤ {self.against} + {self.seconds * 1e3:g} ms"

    def verdict(self, measured: Measured) -> Verdict | None:
        ours, rival = measured.ours, measured.fastest(self.against, with_excused=True)
        return Verdict(ours <= rival + self.seconds, f"{(ours - rival) * 1e3:+.3g} ms") if ours and rival else None


@dataclass(frozen=True)
class AtMostTimes:
    """Ours takes at most `ratio` times as long as the fastest of a peer, counted or not."""

    ratio: float
    against: str

    def __str__(self) -> str:
        return f"≤ {self.ratio:g} × {self.against}"

    def verdict(self, measured: Measured) -> Verdict | None:
        ours, rival = measured.ours, measured.fastest(self.against, with_excused=True)
        return Verdict(ours <= self.ratio * rival, times(ours / rival)) if ours and rival else None


@dataclass(frozen=True)
class AtMost:
    """Ours takes at most `seconds`."""

    seconds: float

    def __str__(self) -> str:
        return f"≤ {seconds_to_text(self.seconds)}"

    def verdict(self, measured: Measured) -> Verdict | None:
        return Verdict(measured.ours <= self.seconds, seconds_to_text(measured.ours)) if measured.ours else None


Target = AtLeast | WithinOwn | WithinOther | OfPeak | AtMostOver | AtMostTimes | AtMost
