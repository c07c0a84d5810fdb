"""Scenarios: numbers that never change, whatever else is drawn, and the laws of supply that they follow."""

from __future__ import annotations

import hashlib
import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from echelon.envs._sampling import draw, invert, make_lookup, no_lookup
from echelon.envs.demand import LAWS, Empirical, Law, NegativeBinomial, Poisson, as_law
from echelon.envs.demand_law import Inversion
from echelon.envs.errors import ConfigError, DemandError
from echelon.envs.network import Network
from echelon.envs.scenarios import Scenarios, sample, sample_rows, stream_key

Floats = NDArray[np.float64]

LAST = 1.0 - 2.0**-53
FROZEN: dict[str, tuple[dict[str, Any], str]] = {
    "poisson": ({"law": "poisson", "mean": 5}, "fd2e450b255a9ff9"),
    "slow": ({"law": "poisson", "mean": 0.3, "seasonal": [0.5, 1, 2]}, "cb667210473b1835"),
    "geometric": ({"law": "geometric", "mean": 4}, "0bf8be3f18c5ab26"),
    "negative binomial": (
        {"law": "negative_binomial", "mean": 5, "sd": 4, "seasonal": [0.4, 1, 3]},
        "4b2ccc52985c5601",
    ),
    "discrete uniform": ({"law": "discrete_uniform", "low": 2, "high": 9}, "8a83b2defb0a0373"),
    "uniform": ({"law": "uniform", "low": 2, "high": 9, "seasonal": [0.5, 2]}, "ae7071bea6bd063d"),
    "normal": ({"law": "normal", "mean": 5, "sd": 2}, ""),
    "gamma": ({"law": "gamma", "mean": 5, "sd": 2, "seasonal": [1, 1.5]}, ""),
    "deterministic": ({"law": "deterministic", "values": [4, 4, 8, 2]}, "bd3b879a82558b26"),
    "empirical": ({"law": "empirical", "values": [4, 1, 7, 4, 0]}, "06055b35ddabc98b"),
    "blocks": (
        {"law": "empirical", "values": [4, 1, 7, 4, 0, 3, 3], "block": 3, "seasonal": [1, 2]},
        "6e544a8aa815d8d2",
    ),
}
"""Laws and the beginning of the SHA-256 of their demand, from before there were look-ups."""
FROZEN_ENDS = {
    "normal": [5.927583480143864, 7.0734650856982135, 1.5095226632290926],
    "gamma": [4.158095802863542, 11.229895058878842, 10.708223970449778],
}
"""The last periods of demand that rests on special functions, whose last digit may depend on SciPy."""
POISSON = {"law": "poisson", "mean": 4}
OTHERS: dict[str, dict[str, Any]] = {
    "compound": {"law": "compound", "customers": POISSON, "size": {"law": "geometric", "mean": 2}},
    "intermittent": {"law": "intermittent", "interval": 3, "size": POISSON, "shift": 1},
    "ar1": {"law": "ar1", "mean": 5, "sd": 3, "correlation": 0.5, "seasonal": [1, 2]},
    "markov_modulated": {
        "law": "markov_modulated",
        "regimes": [{"name": "a", "demand": POISSON}, {"name": "b", "demand": {"law": "gamma", "mean": 9, "sd": 2}}],
        "transition": [[0.8, 0.2], [0.4, 0.6]],
    },
    "growing": {"law": "negative_binomial", "mean": 5, "sd": 4, "growth": 0.01, "seasonal": [1, 2]},
    "huge": {"law": "discrete_uniform", "low": 0, "high": 1_000_000},
    "aligned": {"law": "empirical", "values": [4, 1, 7, 4, 0, 3], "align": 3, "block": 2},
    "discrete": {"law": "discrete", "values": [0, 3, 4], "probabilities": [0.3, 0.5, 0.2], "seasonal": [1, 2]},
}
"""Laws of every kind that `FROZEN` has not, one that grows and one with too many values to look up."""


def network(
    *laws: Any, links: dict[str, Any] | None = None, node: dict[str, Any] | None = None, **rest: Any
) -> Network:
    """Outlets with the laws, each with a supply of its own; the fields of `links` and `node` for the first."""
    return Network.from_dict(
        {
            "nodes": [{"name": f"n{i}", "demand": law, **(node or {} if i == 0 else {})} for i, law in enumerate(laws)],
            "links": [{"target": f"n{i}", **(links or {} if i == 0 else {})} for i in range(len(laws))],
            **rest,
        }
    )


def drawn(one: Network, replications: int = 40, periods: int = 30, seed: int = 3) -> Scenarios:
    return sample(one, periods=periods, replications=replications, seed=seed)


def numpy_uniform(replication: int, purpose: int, count: int, *, seed: int = 3) -> Floats:
    """The numbers of a replication as NumPy's own generator gives them."""
    stream = np.random.Philox(key=stream_key(seed, "evaluation"), counter=[0, 0, purpose, replication])
    return np.random.Generator(stream).random(count)


def uniforms(rows: int, replications: int, purpose: int = 0) -> Floats:
    """[rows, B] compiled uniform numbers."""
    out = np.empty((rows, replications))
    keys = np.tile(stream_key(3, "evaluation"), (replications, 1))
    draw(out, keys, np.arange(replications, dtype=np.uint64), np.uint64(purpose), no_lookup(rows))
    return out


def test_the_demand_of_a_seed_is_what_it_always_was() -> None:
    laws = [law for law, _ in FROZEN.values()]
    scenarios = sample(network(*laws), periods=53, replications=range(3, 20), seed=11, stream="frozen")
    for c, (name, (_, checksum)) in enumerate(FROZEN.items()):
        demand = np.ascontiguousarray(scenarios.demand[:, :, c])
        if checksum:
            assert hashlib.sha256(demand.tobytes()).hexdigest()[:16] == checksum, name
        else:
            np.testing.assert_allclose(demand[-1, -3:], FROZEN_ENDS[name], rtol=1e-12)


@pytest.mark.parametrize(("rows", "purpose"), [(1, 0), (4, 1), (7, 3), (1_002, 7)])
def test_random_numbers_are_those_of_the_generator_of_numpy(rows: int, purpose: int) -> None:
    numbers = uniforms(rows, 5, purpose)
    for replication in range(5):
        np.testing.assert_array_equal(numbers[:, replication], numpy_uniform(replication, purpose, rows))


@pytest.mark.parametrize(
    "law",
    [Poisson(mean=5), Poisson(mean=0.01), Poisson(mean=3_000), NegativeBinomial(mean=5, sd=40)],
    ids=repr,
)
def test_a_look_up_gives_what_a_search_in_the_table_gives(law: Law) -> None:
    inversion = law.inversion()
    assert inversion is not None
    assert inversion.table is not None
    edges = inversion.table[inversion.table < 1]
    numbers = np.concatenate(
        [
            np.random.default_rng(1).random(1_000_000),
            edges,
            np.nextafter(edges, 0),
            np.minimum(np.nextafter(edges, 1), LAST),
            np.arange(4096) / 4096,
            [0.0, 5e-324, LAST],
        ]
    )
    expected = np.searchsorted(inversion.table, numbers, side="right")
    found = numbers[None].copy()
    invert(found, make_lookup([inversion], np.zeros(1, dtype=np.int32)))
    np.testing.assert_array_equal(found[0], expected)
    worth = numbers[None].copy()
    values = np.sqrt(np.arange(len(inversion.table)))
    invert(worth, make_lookup([Inversion(inversion.table, values)], np.zeros(1, dtype=np.int32)))
    np.testing.assert_array_equal(worth[0], values[expected])


def test_every_law_is_sampled_as_it_says_itself_from_its_own_numbers() -> None:
    named = {name: law for name, (law, _) in FROZEN.items()} | OTHERS
    assert {law["law"] for law in named.values()} == set(LAWS)
    demand = drawn(network(*named.values()), replications=6, periods=50).demand
    for replication in range(6):
        numbers = numpy_uniform(replication, 0, 50 * len(named)).reshape(50, -1)
        for c, law in enumerate(named.values()):
            expected = as_law(law).sample(numbers[None, :, c])[0]
            np.testing.assert_array_equal(demand[replication, :, c], expected, err_msg=str(law))


SUPPLY: dict[str, Any] = {
    "links": {
        "lead_time": {"values": [1, 2, 5], "probabilities": [0.5, 0.3, 0.2], "crossover": False},
        "yield_rate": {"values": [0.5, 0.9, 1.0]},
        "disruption": {"failure": 0.1, "repair": 0.3},
    },
    "node": {"stockout_rule": 0.5, "disruption": {"failure": 0.2, "repair": 0.5}},
}
"""Everything random in the supply of the first of several outlets."""
ARRAYS = ("demand", "lead_time", "yields", "yield_chance", "wait_chance", "node_up", "link_up")


def eventful(**rest: Any) -> Network:
    whole = [OTHERS[name] for name in ("compound", "intermittent", "aligned")]
    markov = {**OTHERS["markov_modulated"], "regimes": [{"name": n, "demand": POISSON} for n in "ab"]}
    return network(*whole, markov, POISSON, **SUPPLY, **rest)


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_a_replication_is_the_same_in_any_batch_and_over_any_horizon(correlation: float) -> None:
    one = eventful(demand_correlation=correlation)
    full = sample(one, periods=30, replications=1_100, seed=5)
    part = sample(one, periods=21, replications=range(1_015, 1_031), seed=5)
    for name in ARRAYS:
        whole = getattr(full, name)
        assert whole.shape[:2] == (1_100, 30), name
        np.testing.assert_array_equal(getattr(part, name), whole[1_015:1_031, :21], err_msg=name)
        np.testing.assert_array_equal(getattr(full[1_015:1_031], name), whole[1_015:1_031], err_msg=name)
        np.testing.assert_array_equal(getattr(full.draw(7), name), whole[:, 7], err_msg=name)


def test_rows_have_keys_and_replication_numbers_of_their_own() -> None:
    one = eventful()
    keys = np.stack([stream_key(seed, "evaluation") for seed in (8, 3, 8)])
    rows = sample_rows(one, keys, [4, 0, 2], 25)
    for row, (seed, replication) in enumerate([(8, 4), (3, 0), (8, 2)]):
        alone = sample(one, periods=25, replications=range(replication, replication + 1), seed=seed)
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(rows, name)[row], getattr(alone, name)[0], err_msg=name)


def test_scenarios_of_other_streams_and_seeds_are_other_numbers() -> None:
    one = network(POISSON)
    same = sample(one, periods=30, replications=4, seed=5).demand
    assert not np.array_equal(sample(one, periods=30, replications=4, seed=5, stream="tuning").demand, same)
    assert not np.array_equal(sample(one, periods=30, replications=4, seed=6).demand, same)
    with pytest.raises(ConfigError, match=r"periods and replications must be at least 1 \(got 0 and 4\)"):
        sample(one, periods=0, replications=4, seed=5)
    with pytest.raises(ConfigError, match=r"seed must be at least 0 \(got -1\)"):
        sample(one, periods=3, replications=4, seed=-1)


def test_randomness_of_supply_leaves_demand_and_the_other_draws_as_they_are() -> None:
    laws = [POISSON, OTHERS["intermittent"]]
    everything = drawn(network(*laws, **SUPPLY))
    np.testing.assert_array_equal(everything.demand, drawn(network(*laws)).demand)
    for feature, name in {"lead_time": "lead_time", "yield_rate": "yields", "disruption": "link_up"}.items():
        alone = drawn(network(*laws, links={feature: SUPPLY["links"][feature]}))
        np.testing.assert_array_equal(getattr(alone, name), getattr(everything, name))


def test_what_is_not_random_is_not_drawn() -> None:
    plain = drawn(network(POISSON, POISSON, links={"lead_time": 3}, node={"stockout_rule": 1.0}))
    assert [name for name in ARRAYS if getattr(plain, name) is not None] == ["demand"]
    broken = drawn(network(OTHERS["ar1"], POISSON, units="continuous", **SUPPLY))
    assert broken.yields is not None
    assert broken.yield_chance is None
    assert broken.wait_chance is None
    assert broken.draw(0).yield_chance is None


def test_links_and_nodes_without_a_feature_have_the_constant() -> None:
    scenarios = drawn(network(POISSON, POISSON, **SUPPLY))
    for array, constant in (
        (scenarios.lead_time, 0),
        (scenarios.yields, 1),
        (scenarios.node_up, 1),
        (scenarios.link_up, 1),
    ):
        assert array is not None
        assert (array[:, :, 1] == constant).all()
        assert not (array[:, :, 0] == constant).all()
    fixed = drawn(network(POISSON, POISSON, links={"yield_rate": 0.8})).yields
    assert fixed is not None
    np.testing.assert_array_equal(fixed[0, 0], [0.8, 1.0])


def test_lead_times_and_yields_have_the_stated_probabilities() -> None:
    lead_time = {"values": [2, 4, 9], "probabilities": [0.5, 0.3, 0.2]}
    link = {"lead_time": lead_time, "yield_rate": {"values": [0.25, 0.5, 0.5, 1]}}
    scenarios = drawn(network(POISSON, links=link), replications=1_000, periods=100)
    assert scenarios.lead_time is not None
    assert scenarios.yields is not None
    assert scenarios.lead_time.dtype == np.int16
    counts = np.bincount(scenarios.lead_time.ravel(), minlength=10)[[2, 4, 9]]
    assert stats.chisquare(counts, np.array([0.5, 0.3, 0.2]) * 100_000).pvalue > 0.01
    values, found = np.unique(scenarios.yields, return_counts=True)
    np.testing.assert_array_equal(values, [0.25, 0.5, 1])
    assert stats.chisquare(found, np.array([0.25, 0.5, 0.25]) * 100_000).pvalue > 0.01


def test_without_crossover_no_shipment_overtakes_an_earlier_one() -> None:
    values = {"values": [1, 2, 5], "probabilities": [0.5, 0.3, 0.2]}
    free = drawn(network(POISSON, links={"lead_time": values})).lead_time
    kept = drawn(network(POISSON, links={"lead_time": {**values, "crossover": False}})).lead_time
    assert free is not None
    assert kept is not None
    arrival = np.arange(30) + kept[:, :, 0]
    assert (np.diff(arrival, axis=1) >= 0).all()
    # A shipment arrives when its own lead time is over, unless an earlier one is still under way.
    np.testing.assert_array_equal(arrival, np.maximum.accumulate(np.arange(30) + free[:, :, 0], axis=1))
    assert (free != kept).any()


def test_status_is_a_markov_chain_that_starts_up() -> None:
    failure, repair = 0.04, 0.16
    disruption = {"failure": failure, "repair": repair}
    up = drawn(network(POISSON, node={"disruption": disruption}), replications=400, periods=2_000).node_up
    assert up is not None
    status = up[:, :, 0]
    assert set(np.unique(status)) == {0.0, 1.0}
    # P(up in period t) = availability + (1 - availability) * (1 - failure - repair) ** t.
    np.testing.assert_allclose(status[:, 0].mean(), 0.96, atol=0.03)
    np.testing.assert_allclose(status[:, 50:].mean(), repair / (failure + repair), rtol=0.01)
    before, after = status[:, :-1], status[:, 1:]
    assert 1 - after[before == 1].mean() == pytest.approx(failure, rel=0.03)
    assert after[before == 0].mean() == pytest.approx(repair, rel=0.03)


def test_a_disruption_that_is_certain_alternates() -> None:
    up = drawn(network(POISSON, links={"disruption": {"failure": 1.0, "repair": 1.0}}), periods=5).link_up
    assert up is not None
    np.testing.assert_array_equal(up[0, :, 0], [0, 1, 0, 1, 0])


def correlations(samples: Floats) -> Floats:
    """[C, C] of samples [M, C]."""
    return np.asarray(np.corrcoef(samples.T))


@pytest.mark.parametrize("correlation", [0.3, 0.8])
def test_demand_correlation_is_that_of_the_normal_scores_of_the_outlets(correlation: float) -> None:
    normal = {"law": "normal", "mean": 100, "sd": 10}
    one = network(normal, normal, normal, units="continuous", demand_correlation=correlation)
    demand = drawn(one, replications=500, periods=200).demand.reshape(-1, 3)
    np.testing.assert_allclose(correlations(demand)[np.triu_indices(3, 1)], correlation, atol=0.01)


def test_correlation_keeps_every_outlet_s_own_law() -> None:
    law = {"law": "negative_binomial", "mean": 5, "sd": 4}
    demand = drawn(network(POISSON, law, demand_correlation=0.7), replications=500, periods=200).demand
    for c, expected in enumerate([stats.poisson(4), stats.nbinom(25 / 11, 5 / 16)]):
        counts = np.bincount(demand[:, :, c].astype(np.int64).ravel(), minlength=15)[:12]
        chances = expected.pmf(np.arange(12))
        observed, wanted = [*counts, 100_000 - counts.sum()], np.array([*chances, 1 - chances.sum()])
        assert stats.chisquare(observed, wanted * 100_000).pvalue > 0.01
    assert correlations(demand.reshape(-1, 2))[0, 1] > 0.6
    # The periods stay independent.
    assert abs(correlations(np.stack([demand[:, :-1, 0], demand[:, 1:, 0]], axis=2).reshape(-1, 2))[0, 1]) < 0.01


def test_one_outlet_has_nobody_to_be_correlated_with() -> None:
    alone = drawn(network(POISSON, demand_correlation=0.7)).demand
    np.testing.assert_array_equal(alone, drawn(network(POISSON)).demand)


@pytest.mark.parametrize("block", [1, 7])
def test_histories_drawn_together_keep_their_correlation(block: int) -> None:
    rng = np.random.default_rng(4)
    common = rng.poisson(5, 140)
    one, other = (tuple((common + rng.poisson(2, 140)).astype(float).tolist()) for _ in range(2))
    laws = [{"law": "empirical", "values": v, "block": block, "align": 7, "joint": "town"} for v in (one, other)]
    demand = drawn(network(POISSON, *laws), replications=300, periods=140).demand[:, :, 1:]
    pairs = set(zip(one, other, strict=True))
    assert set(map(tuple, demand.reshape(-1, 2).tolist())) <= pairs
    own = correlations(np.array([one, other]).T)[0, 1]
    assert correlations(demand.reshape(-1, 2))[0, 1] == pytest.approx(own, rel=0.1)
    apart = [{**law, "joint": ""} for law in laws]
    alone = drawn(network(POISSON, *apart), replications=300, periods=140).demand[:, :, 1:]
    np.testing.assert_array_equal(alone[:, :, 0], demand[:, :, 0])
    assert abs(correlations(alone.reshape(-1, 2))[0, 1]) < 0.1


def test_histories_that_do_not_match_are_not_drawn_together() -> None:
    from echelon.envs.demand_sampling import sample_demand
    from echelon.envs.streams import Streams

    laws = [Empirical(values=(1, 2), joint="town"), Empirical(values=(1, 2, 3), joint="town")]
    with pytest.raises(DemandError, match="histories drawn together"):
        sample_demand(laws, Streams.of(stream_key(0, "x")[None], [0], 5))


def test_replications_lie_side_by_side_in_memory() -> None:
    scenarios = drawn(eventful())
    for name in ARRAYS:
        assert getattr(scenarios, name).transpose(1, 2, 0).flags.c_contiguous, name


@pytest.mark.parametrize("name", ["poisson", "ar1", "markov_modulated", "normal"])
def test_sampling_needs_little_more_memory_than_its_result(name: str) -> None:
    law = OTHERS.get(name) or FROZEN[name][0]
    one = network(law, law, units="continuous", demand_correlation=0.5)
    drawn(one, replications=2)
    tracemalloc.start()
    demand = drawn(one, replications=4_000, periods=1_000).demand
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The correlation needs one number for both outlets.
    assert peak < 1.5 * demand.nbytes + 40e6
