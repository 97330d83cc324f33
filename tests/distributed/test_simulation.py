"""What workers gain: exchanges against numbers worked out by hand, the simulation against its closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from minibatch.distributed import simulate_workers
from minibatch.distributed._network import allreduce_seconds, check_network
from minibatch.distributed._simulation import limits_of

SECONDS, CRITICAL, PARAMETERS, NETWORK = (5e-5, 1e-6), 5000.0, 10_000, (2e-5, 1.25e9)
NO_COST = (0.0, 1e300)
workers = st.integers(1, 10_000)
networks = st.tuples(st.floats(0, 1), st.floats(1e3, 1e12))


def test_exchanges_by_hand():
    """1 MB at 1 GB/s is a millisecond."""
    # two rounds of 10 us and 1 ms; four rounds of 10 us and 2 * 3/4 ms
    assert_allclose(allreduce_seconds(1e6, 4, (1e-5, 1e9)), min(2 * 1.01e-3, 4e-5 + 1.5e-3))
    # 80 bytes are little beside a latency, so the fewer rounds are the cheaper
    assert_allclose(allreduce_seconds(80, 1000, (1e-5, 1e9)), 10 * (1e-5 + 8e-8))
    # one round for two; a number that is no power of two takes the rounds of the next
    assert_allclose(allreduce_seconds(1e6, 2, (1e-3, 1e9)), 2e-3)
    assert_allclose(allreduce_seconds(0, [3, 4, 5, 8], (1e-3, 1e9)), [2e-3, 2e-3, 3e-3, 3e-3])


@given(workers, networks, st.floats(0, 1e9))
def test_exchanges_grow_with_workers_bytes_and_latency(number, network, n_bytes):
    here = allreduce_seconds(n_bytes, number, network)
    assert here >= 0.0
    assert allreduce_seconds(n_bytes, 1, network) == 0.0
    latency, bandwidth = network
    for more in (
        allreduce_seconds(n_bytes, number + 1, network),
        allreduce_seconds(2 * n_bytes, number, network),
        allreduce_seconds(n_bytes, number, (latency + 1e-3, bandwidth)),
        allreduce_seconds(n_bytes, number, (latency, bandwidth / 2)),
    ):
        assert more >= here * (1 - 1e-12)


@pytest.mark.parametrize(
    "network", [None, 1e-5, (1e-5,), (-1e-5, 1e9), (1e-5, 0), (np.nan, 1e9), (1e-5, np.inf), (True, 1e9), "ab"]
)
def test_a_network_is_a_latency_and_a_bandwidth(network):
    with pytest.raises(ValueError, match=r"network must be a pair of finite numbers.*\(1e-5, 1\.25e9\); got"):
        check_network(network)
    with pytest.raises(ValueError, match="network"):
        simulate_workers(SECONDS, CRITICAL, PARAMETERS, network)


def test_one_worker_exchanges_nothing():
    (a, b), sizes = SECONDS, 4 ** np.arange(11)
    found = simulate_workers(SECONDS, CRITICAL, PARAMETERS, NETWORK)
    assert_allclose(found.seconds_per_update[0], a + b * sizes)
    seconds = (1 + CRITICAL / sizes) * (a + b * sizes)
    assert_allclose(found.relative_seconds[0], seconds / seconds.min())
    assert found.speedups[0].max() == found.efficiencies[0].max() == 1.0
    assert (found.exchange_shares[0] == 0.0).all()


def test_without_costs_of_the_network_a_worker_has_its_share_of_the_rows():
    (a, b), sizes, numbers = SECONDS, np.array([64, 1000]), np.array([1, 3, 64, 10_000])
    found = simulate_workers(SECONDS, CRITICAL, PARAMETERS, NO_COST, n_workers=numbers, batch_sizes=sizes)
    assert_allclose(found.seconds_per_update, a + b * np.ceil(sizes / numbers[:, None]))
    assert (np.diff(found.relative_seconds, axis=0) <= 0.0).all()
    assert found.fastest_n_workers.tolist() == [64, 1000]


def test_with_many_workers_the_best_batch_grows_as_their_root():
    """Without a network B* = sqrt(a B_c K / b), as with one worker, whose rows take b / K."""
    sizes, numbers = 2 ** np.arange(20), 4 ** np.arange(5)
    found = simulate_workers((1e-3, 1e-6), 1024, 1, NO_COST, n_workers=numbers, batch_sizes=sizes)
    assert_allclose(np.log2(found.best_batch_sizes), np.log2(np.sqrt(1e3 * 1024 * numbers)), atol=0.51)


@given(st.floats(1e-9, 1e-2), st.floats(1e-9, 1e-3), networks, st.integers(1, 10**6), st.integers(1, 10**7))
def test_limits_are_those_of_brute_force(a, b, network, n_parameters, size):
    found = simulate_workers((a, b), 1000, n_parameters, network, n_workers=[1, 300], batch_sizes=[size])
    every = np.arange(1, 601)
    seconds = [a + b * -(-size // number) + allreduce_seconds(8.0 * n_parameters, number, network) for number in every]
    assert found.fastest_n_workers == 1 + np.argmin(seconds[:300])
    little = [number for number in range(1, 301) if seconds[2 * number - 1] > 0.9 * seconds[number - 1]]
    assert found.worthwhile_n_workers == min([*little, 300])
    assert found.seconds_per_update[1, 0] == pytest.approx(seconds[299])


@given(st.floats(0, 1e-2), st.floats(1e-9, 1e-3), networks, st.floats(0, 1e9))
def test_no_number_of_workers_is_more_than_so_many_times_as_fast(a, b, network, critical):
    """With as many rows each and no cost beside them; so at the best batch size of the largest number too."""
    found = simulate_workers((a, b), critical, PARAMETERS, network, batch_sizes=2 ** np.arange(0, 41, 2))
    assert (found.efficiencies <= 1.0 + 1e-9).all()
    assert ((found.exchange_shares >= 0.0) & (found.exchange_shares <= 1.0)).all()


def test_larger_batches_want_more_workers_and_slow_networks_fewer():
    fast, slow = (simulate_workers(SECONDS, CRITICAL, PARAMETERS, (latency, 1.25e9)) for latency in (1e-6, 1e-3))
    for limits in ("fastest_n_workers", "worthwhile_n_workers"):
        assert (np.diff(getattr(fast, limits)) >= 0).all()
        assert (getattr(slow, limits) <= getattr(fast, limits)).all()
    assert (slow.best_batch_sizes >= fast.best_batch_sizes).all()


def test_limits_of_what_never_gets_faster_and_of_what_always_does():
    assert limits_of(lambda workers: np.sqrt(workers), 100) == (1, 1)
    assert limits_of(lambda workers: 1.0 / workers, 100) == (100, 100)


def test_it_can_be_read():
    found = simulate_workers(SECONDS, CRITICAL, PARAMETERS, NETWORK, n_workers=[4, 1, 4], batch_sizes=[4096, 64])
    assert found.n_workers.tolist() == [1, 4]
    assert found.batch_sizes.tolist() == [64, 4096]
    lines = repr(found).splitlines()
    assert lines[1].split() == ["workers", "batch", "size", "speed-up", "%", "efficiency", "%", "exchange"]
    assert lines[3].split()[:2] == ["4", "4096"]
    assert lines[5].split() == ["batch", "size", "worthwhile", "fastest"]
    assert found._repr_html_().count("<table") == 2
    pytest.importorskip("pandas")
    frame = found.to_frame()
    assert len(frame) == 4
    assert_allclose(frame["speedup"], frame["efficiency"] * frame["n_workers"])
    assert_allclose(frame["speedup"] * frame["relative_seconds"], 1.0)


WRONG = {
    "seconds_per_update must be": {"seconds_per_update": (1e-5, 0.0)},
    "seconds_per_update must be a pair": {"seconds_per_update": 1e-5},
    "'critical_batch_size' parameter": {"critical_batch_size": np.inf},
    "'n_parameters' parameter": {"n_parameters": 1.5},
    "n_parameters must be a positive integer": {"n_parameters": 0},
    "n_workers must be a list of integers from 1 to 10,000": {"n_workers": [0, 1]},
    "n_workers must be a list": {"n_workers": [10_001]},
    "batch_sizes must be a list of integers": {"batch_sizes": [0.5]},
    "batch_sizes must be a list": {"batch_sizes": []},
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_arguments(words):
    given = {"seconds_per_update": SECONDS, "critical_batch_size": CRITICAL, "n_parameters": 10, "network": NETWORK}
    with pytest.raises(ValueError, match=words):
        simulate_workers(**(given | WRONG[words]))
