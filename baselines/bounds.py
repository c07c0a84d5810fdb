"""Lower bounds: what no policy can beat, to judge a policy where no method finds the optimum.

- `newsvendor_relaxation`: for every network, in a moment; what uncertain demand costs each outlet by itself.
- `information_relaxation`: for every network whose programme is not too large; that, and flows, limits, unit costs.
- `clark_scarf_relaxation`: for distribution trees with backorders, in the long run; stock upstream as well.

`docs/theory/bounds.md` has the proofs, and how tight each is on the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable

from echelon.baselines.distribution_bound import clark_scarf_relaxation
from echelon.baselines.information_relaxation import information_relaxation
from echelon.baselines.newsvendor_relaxation import newsvendor_relaxation
from echelon.baselines.optimal import is_long_run
from echelon.baselines.plan import Bound
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem

ROUNDING = 1e-6
"""Share of a bound by which another one must be higher to be preferred to it."""


def lower_bound(problem: Problem, *, seed: int = 0) -> Bound:
    """The highest of the bounds that hold for the problem; its `proven` end is what no policy beats.

    The Clark-Scarf relaxation bounds the long-run average, as references do: it is used where warm-up and
    counted periods are long (`is_long_run`); a policy that runs its stock down towards the end of the horizon
    can be below it by what that saves. It is close enough for nothing to be gained by sampling beside it. The
    other two bound the problem's objective, whatever its horizon; the sampled one counts with the lower end of
    its interval, and `seed` is that of its scenarios. Raises `MethodError` with what each bound needs where
    none applies.
    """
    found: list[Bound] = []
    refusals: list[str] = []

    def add(method: Callable[[], Bound]) -> bool:
        try:
            found.append(method())
        except MethodError as error:
            refusals.append(str(error))
            return False
        return True

    add(lambda: newsvendor_relaxation(problem))
    if not (is_long_run(problem) and add(lambda: clark_scarf_relaxation(problem))):
        add(lambda: information_relaxation(problem, seed=seed))
    if not found:
        raise MethodError("\n".join(["lower_bound needs a problem that a relaxation holds for:", *refusals]))
    best = found[0]
    for other in found[1:]:
        if other.proven > best.proven + ROUNDING * abs(best.proven):
            best = other
    return best
