"""Certificates: that a policy meets every service floor, shown on scenarios that no search has seen.

A policy that was chosen because it just met its floors on some scenarios falls short on others. Here fresh
replications are simulated and each floor is tested. With the margins of `service_floors`, the mean of m over
B replications and its standard error s / sqrt(B),

    floor f is met   if   mean(m_f) - c_f s_f / sqrt(B) >= 0,

c the quantile of Student's t with B - 1 degrees of freedom at the error alpha.

- **Several floors.** "Every floor is met" is claimed only if each test says so. If it is wrong, some floor is
  broken, and the claim takes an error of that floor's own test: alpha, whatever the others do and however they are
  correlated. Nothing is divided by the number of floors: an intersection-union test (R. L. Berger,
  Multiparameter hypothesis testing and acceptance sampling, Technometrics 24(4), 1982).
- **Several attempts.** A search that failed may repair its policy and try again, on a new stream. Attempt k = 0, 1, ...
  may err with alpha / 2^(k + 1); these sum to less than alpha.
- **Several looks.** A sample may grow while a floor is undecided, at sizes fixed in advance. The error is shared
  equally between the looks.
- **Skewness.** Bad years are worse than good years are good, and t is then too sure of itself: P(t > x) exceeds the
  normal tail by -skewness (2 x^2 + 1) phi(x) / (6 sqrt(B)), the first term of its Edgeworth expansion (P. Hall, On the
  removal of skewness by transformation, Journal of the Royal Statistical Society B 54(1), 1992). So c grows by
  (2 t^2 + 1) |skewness| / (6 sqrt(B)) where that makes it larger, and never shrinks.
- **Service.** The share u / d of units filled has the interval of E. C. Fieller (Some problems in interval estimation,
  Journal of the Royal Statistical Society B 16(2), 1954): the levels that the test of u - level d would not reject.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, floor, log10, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from echelon.baselines.service_floors import ServiceFloor, margins, require_floors
from echelon.envs.errors import MethodError
from echelon.envs.node_outcome import NodeOutcome, simulate_nodes
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import PART_BYTES, scenario_bytes

Floats = NDArray[np.float64]
Verdict = Literal["met", "missed", "undecided"]
"""Met and missed are both shown with confidence."""

SIZES = (1_000, 4_000)
"""Replications at which a certificate is looked at, the earlier ones included."""
ROUNDING = 1e-12
"""Share of what is asked below which a margin is rounding."""


@dataclass(frozen=True, eq=False)
class ServiceSample:
    """What B independent replications say of F floors: the margin is good - level * whole."""

    good: Floats
    """[B, F] units filled, or periods or cycles without a shortage."""
    whole: Floats
    """[B, F] units asked for, or all periods or cycles."""

    def __add__(self, later: ServiceSample) -> ServiceSample:
        """Both, one after the other."""
        return ServiceSample(np.concatenate([self.good, later.good]), np.concatenate([self.whole, later.whole]))


Draw = Callable[[range], ServiceSample]
"""Simulates a range of the replications of a stream."""


@dataclass(frozen=True)
class FloorResult:
    """What is known of one floor. The bounds are one-sided, each at the confidence of the certificate."""

    floor: ServiceFloor
    verdict: Verdict
    service: float
    """Reached in the sample; 1 where nothing was asked for."""
    at_least: float
    at_most: float
    margin: float
    """Its mean: units, periods or cycles by which the floor is exceeded."""
    margin_at_least: float
    """Lower bound of its expectation. Where it is below 0, a repair must raise the margin by that much."""
    margin_at_most: float
    confidence: float

    @property
    def shortfall(self) -> float:
        """By how much the service reached is below the level; 0 where it is not."""
        return max(0.0, self.floor.level - self.service)

    def __str__(self) -> str:
        digits = max(4, 2 + ceil(-log10(1 - self.floor.level)))
        unit = 10.0**-digits
        low, high = unit * floor(self.at_least / unit + 1e-6), unit * ceil(self.at_most / unit - 1e-6)
        bounds = {
            "met": f"at least {low:.{digits}f}",
            "missed": f"at most {high:.{digits}f}",
            "undecided": f"between {low:.{digits}f} and {high:.{digits}f}",
        }
        lacking = f", short by {self.shortfall:.{digits}f}" if self.shortfall >= unit / 2 else ""
        sure = f"with {100 * self.confidence:g} % confidence"
        return f"{self.floor}: {self.service:.{digits}f}, {bounds[self.verdict]} {sure}: {self.verdict}{lacking}"


@dataclass(frozen=True)
class Certificate:
    """Whether a policy meets every floor, and what is known of each."""

    floors: tuple[FloorResult, ...]
    replications: int
    confidence: float
    """That the floors are met if `met` says so, over all looks and all attempts."""
    error: float
    """Chance of an error that each single test was allowed."""
    attempt: int | None = None

    @property
    def met(self) -> bool:
        """Every floor is met, with confidence; so it is where there is no floor."""
        return all(result.verdict == "met" for result in self.floors)

    @property
    def decided(self) -> bool:
        """No larger sample is needed: all floors are met, or one is missed."""
        return self.met or any(result.verdict == "missed" for result in self.floors)

    @property
    def open(self) -> tuple[FloorResult, ...]:
        """The floors that are not shown to be met, the one with the largest shortfall first."""
        rest = (result for result in self.floors if result.verdict != "met")
        return tuple(sorted(rest, key=lambda result: result.service - result.floor.level))

    def lines(self) -> list[str]:
        """One line a floor."""
        return [str(result) for result in self.floors]

    def __str__(self) -> str:
        verdict = "every floor is met" if self.met else f"{len(self.open)} of {len(self.floors)} floors are not shown"
        return "\n".join([f"{verdict} ({self.replications:,} fresh replications)", *self.lines()])


def attempt_error(error: float, attempt: int) -> float:
    """alpha / 2^(k + 1): what attempt k = 0, 1, ... may spend, so that all of them together stay below alpha."""
    if attempt < 0:
        raise MethodError(f"attempt must be at least 0, got {attempt}")
    return error / 2.0 ** (attempt + 1)


def certify(
    floors: Sequence[ServiceFloor],
    draw: Draw,
    *,
    sizes: Sequence[int] = SIZES,
    confidence: float = 0.95,
    attempt: int | None = None,
) -> Certificate:
    """Test the floors on samples that grow to each of `sizes`, until all are met or one is missed.

    `attempt` counts the policies that were tried before; each must meet a stream of its own. None promises that no
    other attempt is made, and has the whole error to itself. Stopping early on a missed floor costs nothing: it can
    only prevent certificates. Without floors nothing is simulated.
    """
    _require(sizes, confidence)
    whole_error = 1 - confidence if attempt is None else attempt_error(1 - confidence, attempt)
    error, drawn = whole_error / len(sizes), ServiceSample(*np.zeros((2, 0, len(floors))))
    certificate = Certificate((), 0, confidence, error, attempt)
    for size in sizes if floors else ():
        drawn = drawn + draw(range(len(drawn.good), size))
        tested = certify_sample(floors, drawn, confidence=confidence, error=error)
        certificate = replace(tested, attempt=attempt)
        if certificate.decided:
            break
    return certificate


def certify_sample(
    floors: Sequence[ServiceFloor], drawn: ServiceSample, *, confidence: float = 0.95, error: float | None = None
) -> Certificate:
    """Test the floors on one sample of a size fixed in advance.

    `error` is the chance of a wrong certificate that this test may take, 1 - `confidence` if it is the only one.
    A margin that is the same in every replication counts as constant: its floor is met if it is not negative. Raises
    `MethodError` for less than two replications and for numbers that are not finite.
    """
    shape = (len(drawn.good), len(floors))
    if drawn.good.shape != shape or drawn.whole.shape != shape:
        raise MethodError(
            f"good and whole must have a column for each of {len(floors)} floors, "
            f"got shapes {drawn.good.shape} and {drawn.whole.shape}"
        )
    if shape[0] < 2:
        raise MethodError(f"a certificate needs at least 2 replications, got {shape[0]}")
    if not (np.isfinite(drawn.good).all() and np.isfinite(drawn.whole).all() and (drawn.whole >= 0).all()):
        raise MethodError("good and whole must be finite, and whole at least 0")
    error = 1 - confidence if error is None else error
    results = tuple(
        _test(one, good, whole, error, confidence)
        for one, good, whole in zip(floors, drawn.good.T, drawn.whole.T, strict=True)
    )
    return Certificate(results, shape[0], confidence, error)


def service_sample(problem: Problem, outcome: NodeOutcome, floors: Sequence[ServiceFloor]) -> ServiceSample:
    """What a simulation says of the floors."""
    good = margins(problem, outcome, [replace(one, level=0.0) for one in floors])
    return ServiceSample(good, good - margins(problem, outcome, [replace(one, level=1.0) for one in floors]))


def simulated_service(
    problem: Problem, policy: Policy, floors: Sequence[ServiceFloor], *, seed: int, stream: str, threads: int = 1
) -> Draw:
    """The service of a policy on the replications of a named stream, to be handed to `certify`.

    The stream must be fresh: neither the search nor another attempt has seen it. Raises what `require_floors` and
    `simulate` raise.
    """
    require_floors(problem.network, floors)
    size = max(1, int(PART_BYTES / scenario_bytes(problem)))

    def part(replications: range) -> ServiceSample:
        scenarios = sample(
            problem.network, periods=problem.periods, replications=replications, seed=seed, stream=stream
        )
        return service_sample(problem, simulate_nodes(problem, policy, scenarios, threads=threads), floors)

    def draw(replications: range) -> ServiceSample:
        parts = [part(replications[first : first + size]) for first in range(0, len(replications), size)]
        return ServiceSample(
            np.concatenate([each.good for each in parts]), np.concatenate([each.whole for each in parts])
        )

    return draw


def _require(sizes: Sequence[int], confidence: float) -> None:
    if not sizes or sizes[0] < 2 or any(b <= a for a, b in pairwise(sizes)):
        raise MethodError(f"sizes must grow from at least 2 replications, got {tuple(sizes)}")
    if not 0.5 < confidence < 1:
        raise MethodError(f"confidence must be above 0.5 and below 1, got {confidence:g}")


def _test(one: ServiceFloor, good: Floats, whole: Floats, error: float, confidence: float) -> FloorResult:
    """The test of one floor, from [B] each."""
    asked = float(whole.mean())
    if asked == 0:
        return FloorResult(one, "met", 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, confidence)
    margin = good - one.level * whole
    mean = float(margin.mean())
    centred, n = margin - mean, len(margin)
    variance = float(centred @ centred) / n
    skewness = float(np.mean((centred / sqrt(variance)) ** 3)) if variance > 0 else 0.0
    below, above = _critical_values(n, skewness, error)
    spread = sqrt(variance / (n - 1))
    low, high = mean - below * spread, mean + above * spread
    slack = ROUNDING * asked
    verdict: Verdict = "met" if low >= -slack else "missed" if high < -slack else "undecided"
    service = float(good.mean()) / asked
    down, up = _fieller(good, whole, below, above)
    at_least = max(service - down, one.level if verdict == "met" else 0.0)
    at_most = min(service + up, one.level if verdict == "missed" else 1.0)
    return FloorResult(one, verdict, service, at_least, at_most, mean, low, high, confidence)


def _critical_values(n: int, skewness: float, error: float) -> tuple[float, float]:
    """Standard errors from the mean of n values to its lower and its upper bound."""
    t = float(stdtrit(n - 1, 1 - error))
    wider = (2 * t * t + 1) / (6 * sqrt(n))
    return t + wider * max(0.0, -skewness), t + wider * max(0.0, skewness)


def _fieller(good: Floats, whole: Floats, below: float, above: float) -> tuple[float, float]:
    """Distances of the ends of Fieller's interval below and above the ratio r of the means.

    With e = good - r whole, the lower end r - x solves x mean(whole) = c sqrt(Var(e + x whole) / B), which is
    quadratic in x; the upper end r + x has -x in the variance. Where the mean of the whole is itself not told apart
    from 0 there are no bounds.
    """
    mean, n = float(whole.mean()), len(good)
    rest, centred = good - float(good.mean()) / mean * whole, whole - mean
    own, shared, of_whole = (float(a @ b) / (n - 1) / n for a, b in ((rest, rest), (rest, centred), (centred, centred)))

    def distance(critical: float, side: float) -> float:
        half, lead = side * critical**2 * shared, mean**2 - critical**2 * of_whole
        return (half + sqrt(half**2 + lead * critical**2 * own)) / lead if lead > 0 else np.inf

    return distance(below, 1.0), distance(above, -1.0)
