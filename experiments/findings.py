"""What a run found, in words: numbers with the digits that they deserve, and sentences that claim no more than
the verdicts support.
"""

from __future__ import annotations

import json
import math
from typing import Any

from echelon.experiments.measured import Share
from echelon.experiments.run_folder import PolicyResult, Result

REFERENCE_NAMES = {
    "optimal": "the proven optimum",
    "lower_bound": "the proven lower bound",
    "best_known": "the best known value",
}

FLOORS = ("optimal", "lower_bound")
"""References that no policy can beat but by chance."""

CAMPS = {"baseline": "baseline", "learned": "learned policy", "optimal": "optimal policy"}

KIND_NAMES = {
    "holding": "holding",
    "processing_holding": "holding in process",
    "transit_holding": "holding in transit",
    "stockout": "stockout",
    "purchase": "purchase",
    "fixed": "fixed order cost",
    "scrap": "scrap",
    "revenue": "revenue",
}


def answer(result: Result) -> str:
    """One sentence: what the policy to choose costs, how far it is from the reference, and what it beats."""
    policy = leader(result)
    cost = with_half_width(policy.mean, policy.half_width)
    verb, period = ("has a discounted cost of", "") if result.discounted else ("costs", " a period")
    clauses = [clause for clause in (_standing(result, policy), _against_rival(result, policy)) if clause]
    findings = (" and " if result.best is policy else "; ").join(clauses)
    return f"{policy.name} {verb} {cost}{period}{': ' if findings else ''}{findings}."


def ties(result: Result) -> str:
    """The other policies that could not be told from the best one, or nothing."""
    rivals = (result.best, leader(result), rival(result, leader(result)))
    names = [policy.name for policy in result.policies if _tied(policy) and policy not in rivals]
    return f"Also not distinguishable from {result.best.name}: {', '.join(names)}." if names else ""


def caution(result: Result) -> str:
    """What in the figures cannot be, if they and the reference are about the same problem; or nothing."""
    best = result.best
    if best.gap is not None and best.gap + (best.gap_half_width or 0.0) < 0 and result.reference_kind in FLOORS:
        return (
            f"{best.name} is below {REFERENCE_NAMES[result.reference_kind]} by more than its interval allows. If this "
            "is not chance, run and reference differ in costs, horizon, warm-up or discount."
        )
    beaten = [policy.name for policy in result.policies if policy.kind == "optimal" and policy.verdict == "worse"]
    return f"{beaten[0]} is marked as optimal, yet {best.name} costs less. Check both." if beaten else ""


def leader(result: Result) -> PolicyResult:
    """The policy that the answer is about: the best one that is not itself the benchmark of optimality."""
    if result.best.kind != "optimal":
        return result.best
    return next((policy for policy in result.policies if policy.kind != "optimal"), result.best)


def rival(result: Result, policy: PolicyResult) -> PolicyResult | None:
    """The policy to hold `policy` against: the best of the other camp, learned or baseline, else the next best."""
    others = [other for other in result.policies if other is not policy and other.kind != "optimal"]
    return next((other for other in others if other.kind != policy.kind), others[0] if others else None)


def reference_name(result: Result) -> str:
    """The reference in words with its value, or nothing."""
    if result.reference is None:
        return ""
    finest = min((policy.half_width for policy in result.policies if policy.half_width), default=None)
    value = plain(result.reference, decimals(result.reference, finest) + 1)
    value = value.rstrip("0").rstrip(".") if "." in value else value
    return f"{REFERENCE_NAMES.get(result.reference_kind, 'the reference')} {value}"


def replications(result: Result) -> str:
    """`2,000 replications`, or between which numbers those of the policies lie."""
    fewest, most = result.fewest_replications, result.replications
    return f"{fewest:,} to {most:,} replications" if fewest < most else f"{most:,} replications"


def verdict(result: Result, policy: PolicyResult) -> str:
    """The verdict as the table words it: a tie for the lowest mean is not called the best."""
    if policy.verdict == "best" and len(result.policies) > 1:
        return "lowest mean, tied" if any(_tied(other) for other in result.policies) else "best"
    return policy.verdict


def with_half_width(value: float, half_width: float | None) -> str:
    """`4.801 ± 0.012`: both to two significant digits of the half width."""
    digits = decimals(value, half_width)
    return plain(value, digits) if half_width is None else f"{plain(value, digits)} ± {plain(half_width, digits)}"


def in_percent(share: Share) -> str:
    """`97.31 ± 0.25 %`, or `99.2 (97.7 to 100.0) %` where the interval would go beyond 0 or 100 %."""
    mean, (below, above) = 100 * share.mean, share.reach
    if share.ends is None or math.isclose(below, above, rel_tol=1e-6):
        return f"{with_half_width(mean, None if share.ends is None else 100 * below)} %"
    digits = decimals(mean, 100 * max(below, above))
    low, high = (plain(100 * end, digits) for end in share.ends)
    return f"{plain(mean, digits)} ({low} to {high}) %"


def as_text(value: Any) -> str:
    """A setting as a reader would write it: whole numbers without a point, at most six digits."""
    if isinstance(value, list):
        return f"[{', '.join(as_text(item) for item in value)}]"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def decimals(value: float, half_width: float | None) -> int:
    """Decimals that show two significant digits of the half width, or four of the value if it has none."""
    scale, significant = (half_width, 2) if half_width else (value, 4)
    if not scale:
        return 0
    exponent = int(f"{abs(scale):.{significant - 1}e}".split("e")[1])
    return max(0, significant - 1 - exponent)


def plain(value: float, digits: int) -> str:
    """A number with thousands set off by commas, a true minus sign and no negative zero."""
    text = f"{abs(value):,.{digits}f}"
    return f"\N{MINUS SIGN}{text}" if value < 0 and text.strip("0.,") else text


def _to_reference(result: Result, policy: PolicyResult) -> str:
    """How far a policy is from the reference, such as `1.6 ± 0.2 % above the proven optimum 4.7285`; or nothing."""
    if result.reference is None or policy.gap is None:
        return ""
    return _distance(policy.gap, policy.gap_half_width, reference_name(result))


def _standing(result: Result, policy: PolicyResult) -> str:
    """Against the reference, or else against the simulated optimal policy, if that is the best."""
    known = _to_reference(result, policy)
    if known or result.best is policy or result.best.kind != "optimal":
        return known
    return _against_best(policy, f"{result.best.name}, the optimal policy", result.best)


def _against_rival(result: Result, policy: PolicyResult) -> str:
    """Against the best of the other camp; the verdict decides what may be said."""
    other = rival(result, policy)
    if other is None:
        return ""
    name = f"{other.name}, {_rank(result, other)}"
    if result.best is not policy:
        return f"{name}, is {_beside_the_optimum(result, other)}"
    return _no_difference(other, name) if other.verdict != "worse" else _apart(other, "below", name, base=other)


def _beside_the_optimum(result: Result, policy: PolicyResult) -> str:
    """Where the optimal policy leads, verdicts compare with it alone: two others are placed beside it, not ranked."""
    if result.reference is None or policy.gap is None:
        return _against_best(policy, "it", result.best)
    return _distance(policy.gap, policy.gap_half_width, "it")


def _against_best(policy: PolicyResult, name: str, best: PolicyResult) -> str:
    return _no_difference(policy, name) if policy.verdict != "worse" else _apart(policy, "above", name, base=best)


def _apart(policy: PolicyResult, side: str, name: str, *, base: PolicyResult) -> str:
    """A difference that was shown, in per cent of the mean of `base` where that makes sense.

    Holm's method can show a difference that the interval, which is Bonferroni's, does not.
    """
    if policy.difference is None or base.mean <= 0:
        return f"{side} {name}{_paired(policy)}"
    width = policy.difference_half_width
    share = with_half_width(100 * policy.difference / base.mean, None if width is None else 100 * width / base.mean)
    proof = " (by Holm's method)" if width is not None and width >= policy.difference else ""
    return f"{share} % {side} {name}{proof}"


def _no_difference(policy: PolicyResult, name: str) -> str:
    if policy.difference == 0 and policy.difference_half_width == 0:
        return f"level with {name}{',' if ',' in name else ''} in every replication"
    return f"not distinguishable from {name}{_paired(policy)}"


def _distance(percent: float, half_width: float | None, name: str) -> str:
    amount = with_half_width(percent, half_width)
    if abs(percent) <= (half_width or 0.0):
        return f"not distinguishable from {name} (gap {amount} %)"
    return f"{with_half_width(abs(percent), half_width)} % {'above' if percent > 0 else 'below'} {name}"


def _paired(policy: PolicyResult) -> str:
    if policy.difference is None:
        return ""
    return f" (paired difference {with_half_width(policy.difference, policy.difference_half_width)})"


def _rank(result: Result, policy: PolicyResult) -> str:
    """`the best baseline`, or `the next best` if it has company of its own kind above it."""
    peers = [other for other in result.policies if other.kind == policy.kind]
    if peers[0] is not policy:
        return f"the next best {CAMPS.get(policy.kind, policy.kind)}"
    return f"the {'best' if len(peers) > 1 else 'only'} {CAMPS.get(policy.kind, policy.kind)}"


def _tied(policy: PolicyResult) -> bool:
    return policy.verdict == "not distinguishable"
