"""Ranking and selection: the contender of least mean cost, with a stated probability of correct selection.

The fully sequential procedure KN of S.-H. Kim and B. L. Nelson, A fully sequential procedure for indifference-zone
selection in simulation, ACM Transactions on Modeling and Computer Simulation 11(3), 2001, with their recommended c = 1.
All k contenders meet the same n0 replications, which give the variances S_il^2 of the differences between each two of
them. Then replications are added to those that are left. After r of them, contender i goes if for another l

    sum of (X_i - X_l) > max(0, h^2 S_il^2 / (2 delta) - delta r / 2),
    h^2 = 2 eta (n0 - 1),   eta = ((2 alpha / (k - 1))^(-2 / (n0 - 1)) - 1) / 2.

If the best is better than every other contender by at least delta, the indifference zone, it is the one that is left
with probability 1 - alpha. Costs are taken to be normal (means over many periods nearly are) and may be correlated
between contenders: common random numbers make S_il^2 small, and with it the number of replications.

**Why looks in batches are allowed.** Each pair is judged by the sign of a sum when it leaves a region that is symmetric
about 0. With drifts of either sign equally likely, the chance that this sign is wrong, given what was seen, is the
smaller of the two posterior probabilities: a concave function of a martingale, so that it falls in the mean the later
one stops. Looking less often stops later. (So argues, in other words, the lemma of Jennison, Johnstone and Turnbull,
1982, by which Kim and Nelson pass from continuous time to single replications.) Batches cost replications only.

**When the replications run out** at r = R, the least mean of those left is chosen. Each of the pairs left has
waited at least as long as KN with the wider zone h S_il / sqrt(R) would have. So the same 1 - alpha holds for the zone
delta' = h max_l S_bl / sqrt(R) over the pairs of the chosen b: `Selection.zone`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from echelon.baselines.requirements import require_positive
from echelon.envs.errors import MethodError
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate_cost

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
CostSample = Callable[[Sequence[int], range], Floats]
"""The costs [k', n] of some contenders in a range of replications, which must be common to all of them."""


@dataclass(frozen=True, eq=False)
class Selection:
    """The contender chosen among k, and what the others were compared on."""

    best: int
    confidence: float
    """Probability of correct selection, if the best is better than the others by at least `zone`."""
    zone: float
    """Units of cost: delta, or more if the replications ran out."""
    survivors: tuple[int, ...]
    """The contenders that were not eliminated: the best alone, unless the replications ran out."""
    replications: Integers
    """[k] simulated of each contender."""
    means: Floats
    """[k] over its own replications."""
    differences: Floats
    """[k] mean cost above that of the best, over the replications that both have."""
    half_widths: Floats
    """[k] of their intervals, by Student's t and Bonferroni, as if the replications had been fixed in advance."""

    @property
    def complete(self) -> bool:
        """All but the best are eliminated, so that the zone is that asked for."""
        return len(self.survivors) == 1

    def lines(self) -> list[str]:
        """One line a contender, in the order of their differences."""
        return [
            f"contender {i}: {self.differences[i]:+.4g} +- {self.half_widths[i]:.2g} on {self.replications[i]:,}"
            f" replications{', not eliminated' if i in self.survivors and i != self.best else ''}"
            for i in sorted(range(len(self.means)), key=lambda i: (i != self.best, self.differences[i], i))
        ]

    def __str__(self) -> str:
        chance = f"{100 * self.confidence:g} % if it is better by {self.zone:.4g}"
        return "\n".join([f"contender {self.best} is the best ({chance})", *self.lines()])


def select_best(
    costs: CostSample,
    contenders: int,
    *,
    delta: float,
    relative: bool = False,
    confidence: float = 0.95,
    first_stage: int = 30,
    batch: int = 10,
    max_replications: int = 10_000,
) -> Selection:
    """The contender of least mean cost, with probability `confidence` if it is better than the others by `delta`.

    delta is in units of cost or, if `relative`, a share of the least mean of the first stage, and then the
    guarantee is approximate. Contenders must be feasible already. `costs` is asked for consecutive ranges of
    replications of those that are left: `first_stage`, then `batch` at a time. A contender alone is simulated for the
    first stage only. Of contenders whose costs are equal in every replication the one of least number is kept.
    """
    _require(contenders, delta, confidence, first_stage, batch, max_replications)
    alive = np.arange(contenders)
    seen = list(_draw(costs, alive, range(first_stage)))
    zone = _zone(delta, [float(row.mean()) for row in seen] if relative else None)
    h2 = 2 * kn_eta(contenders, first_stage, 1 - confidence) * (first_stage - 1)
    variance = difference_variances(np.array(seen))
    totals, done = np.array([row.sum() for row in seen]), first_stage
    while True:
        here = np.ix_(alive, alive)
        alive = alive[_survive(totals[alive], h2 * variance[here] / (2 * zone) - zone * done / 2)]
        more = range(done, min(done + batch, max_replications))
        if len(alive) == 1 or not more:
            break
        for i, row in zip(alive, _draw(costs, alive, more), strict=True):
            seen[i] = np.append(seen[i], row)
            totals[i] += row.sum()
        done = more.stop
    best = int(alive[np.argmin(totals[alive])])
    reached = max(zone, sqrt(h2 * variance[best, alive].max() / done))
    return _selection(best, seen, tuple(alive.tolist()), confidence, reached)


def kn_eta(contenders: int, first_stage: int, error: float) -> float:
    """eta, which solves (1 + 2 eta)^(-(n0 - 1) / 2) / 2 = alpha / (k - 1); 0 for a single contender."""
    if contenders == 1:
        return 0.0
    return float(((2 * error / (contenders - 1)) ** (-2 / (first_stage - 1)) - 1) / 2)


def difference_variances(costs: Floats) -> Floats:
    """[k, k] S_il^2, the sample variances of the differences between each two rows of [k, n]."""
    # By differences, not from a covariance matrix, so that equal rows have a variance of exactly 0.
    return np.array([(costs - row).var(axis=1, ddof=1) for row in costs])


def simulated_costs(
    problem: Problem, policies: Sequence[Policy], *, seed: int, stream: str = "selection", threads: int = 1
) -> CostSample:
    """The costs of policies on the replications of a named stream, to be handed to `select_best`."""

    def costs(contenders: Sequence[int], replications: range) -> Floats:
        scenarios = sample(
            problem.network, periods=problem.periods, replications=replications, seed=seed, stream=stream
        )
        return np.stack([simulate_cost(problem, policies[i], scenarios, threads=threads) for i in contenders])

    return costs


def _require(contenders: int, delta: float, confidence: float, first_stage: int, batch: int, most: int) -> None:
    if contenders < 1:
        raise MethodError(f"contenders must be at least 1, got {contenders}")
    require_positive("delta", delta)
    if not 0.5 < confidence < 1:
        raise MethodError(f"confidence must be above 0.5 and below 1, got {confidence:g}")
    if first_stage < 2 or batch < 1:
        raise MethodError(f"first_stage must be at least 2 and batch at least 1, got {first_stage} and {batch}")
    if most < first_stage:
        raise MethodError(f"max_replications must be at least first_stage = {first_stage}, got {most}")


def _draw(costs: CostSample, contenders: Integers, replications: range) -> Floats:
    drawn = np.asarray(costs(contenders.tolist(), replications), dtype=np.float64)
    shape = (len(contenders), len(replications))
    if drawn.shape != shape or not np.isfinite(drawn).all():
        raise MethodError(f"costs must give finite numbers of shape {shape}, got shape {drawn.shape}")
    return drawn


def _zone(delta: float, means: Sequence[float] | None) -> float:
    """delta in units of cost; `means` are given if it is a share of the least of them."""
    if means is None:
        return delta
    if min(means) == 0:
        raise MethodError("delta cannot be relative to a least mean of 0: give it in units of cost")
    return delta * abs(min(means))


def _survive(totals: Floats, widths: Floats) -> NDArray[np.bool_]:
    """Which contenders no other one eliminates; `widths` [k, k] of the regions are below 0 once these are closed."""
    above = totals[:, None] - totals[None, :]
    # Beyond the end of a region the sign decides, and of equal sums the first one stays.
    tied = (above == 0) & (widths <= 0) & np.tri(len(totals), k=-1, dtype=bool)
    return np.asarray(~((above > np.maximum(widths, 0.0)) | tied).any(axis=1))


def _selection(
    best: int, seen: Sequence[Floats], survivors: tuple[int, ...], confidence: float, zone: float
) -> Selection:
    paired = [row - seen[best][: len(row)] for row in seen]
    sizes = np.array([len(row) for row in seen])
    level = 1 - (1 - confidence) / (2 * max(1, len(seen) - 1))
    errors = np.array([row.std(ddof=1) for row in paired]) / np.sqrt(sizes)
    return Selection(
        best=best,
        confidence=confidence,
        zone=zone,
        survivors=survivors,
        replications=sizes,
        means=np.array([row.mean() for row in seen]),
        differences=np.array([row.mean() for row in paired]),
        half_widths=np.asarray(stdtrit(sizes - 1, level)) * errors,
    )
