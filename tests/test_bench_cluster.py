"""`mer bench cluster`: what the simulation counts; how fast anything is, no test says."""

from itertools import chain, repeat
from math import inf

import pytest

from mer_cli.bench.simulation import REPAIR_S, Job, random_lives, simulate

UNEVEN = [float(3 + 7 * number % 41) for number in range(120)]


def alone(seconds, cores=1):
    return [Job((number,), cores) for number in range(len(seconds))]


def test_one_node_takes_the_sum():
    assert simulate(UNEVEN, alone(UNEVEN), 1).seconds == sum(UNEVEN)


def test_as_many_nodes_as_folds_take_the_longest_fold():
    assert simulate(UNEVEN, alone(UNEVEN), len(UNEVEN)).seconds == max(UNEVEN)


@pytest.mark.parametrize("n_nodes", [2, 5, 26])
def test_a_queue_is_within_the_bound_of_list_scheduling(n_nodes):
    taken = simulate(UNEVEN, alone(UNEVEN), n_nodes).seconds
    least = max(sum(UNEVEN) / n_nodes, max(UNEVEN))
    assert least <= taken <= sum(UNEVEN) / n_nodes + (1 - 1 / n_nodes) * max(UNEVEN)


def test_a_lost_fold_is_begun_again_before_the_others():
    def lives(node):  # node 0 is lost after 15 s, the other never
        return chain([15.0], repeat(inf)) if node == 0 else repeat(inf)

    # 0 to 10 s: folds 0 and 1. Node 0 begins fold 2 at 10 s and loses it at 15 s; node 1 begins fold 3 at 20 s, but
    # fold 2 comes first.
    outcome = simulate([10.0, 20.0, 30.0, 40.0], alone(range(4)), 2, lives=lives)
    assert outcome.ends == {0: 10.0, 1: 20.0, 2: 50.0, 3: 90.0}
    assert outcome.losses == {2: 1}
    assert outcome.lost_core_s == 5.0


def test_a_lost_node_comes_back():
    def lives(node):
        return chain([15.0], repeat(inf))

    outcome = simulate([10.0, 20.0], alone(range(2)), 1, lives=lives)
    assert outcome.ends == {0: 10.0, 1: 15 + REPAIR_S + 20}


def test_a_fold_that_ends_when_its_node_is_lost_is_finished():
    outcome = simulate([10.0], alone(range(1)), 1, lives=lambda node: chain([10.0], repeat(inf)))
    assert (outcome.ends, outcome.losses) == ({0: 10.0}, {})


def test_nothing_lost_counts_as_finished():
    outcome = simulate(UNEVEN, alone(UNEVEN), 3, lives=random_lives(60.0, seed=1))
    assert outcome.losses.total() > 5
    assert set(outcome.ends) == set(range(len(UNEVEN)))
    busy = sum(UNEVEN) + outcome.lost_core_s
    assert busy <= 3 * outcome.seconds
    assert outcome.seconds > simulate(UNEVEN, alone(UNEVEN), 3).seconds


def test_random_losses_are_the_same_for_the_same_seed_only():
    first, again, other = (simulate(UNEVEN, alone(UNEVEN), 3, lives=random_lives(60.0, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_folds_share_the_cores_of_a_node_and_all_are_lost_with_it():
    jobs = [Job((0,), 1), Job((1,), 1), Job((2,), 2)]
    assert simulate([10.0, 20.0, 5.0], jobs, 1, cores=2).ends == {0: 10.0, 1: 20.0, 2: 25.0}
    outcome = simulate([10.0, 20.0, 5.0], jobs, 1, cores=2, lives=lambda node: chain([4.0], repeat(inf)))
    back = 4 + REPAIR_S
    assert outcome.ends == {0: back + 10, 1: back + 20, 2: back + 25}
    assert outcome.losses == {0: 1, 1: 1}
    assert outcome.lost_core_s == 8.0


def test_a_lost_job_of_several_folds_keeps_those_that_are_finished():
    outcome = simulate([10.0, 20.0, 30.0], [Job((0, 1, 2))], 1, lives=lambda node: chain([25.0], repeat(inf)))
    back = 25 + REPAIR_S
    assert outcome.ends == {0: 10.0, 1: back + 20, 2: back + 50}
    assert (outcome.losses, outcome.lost_core_s) == ({1: 1}, 15.0)
