"""Seeds of fits, and names of parameters."""

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state

from minibatch import MiniBatchSGDClassifier
from minibatch._base.seeds import SEEDS, seed_of


def test_a_number_gives_the_draw_of_its_generator_and_a_generator_the_next():
    assert [seed_of(np.int64(7)), seed_of(7)] == 2 * [check_random_state(7).randint(SEEDS)]
    random, same = np.random.RandomState(3), np.random.RandomState(3)
    assert [seed_of(random), seed_of(random)] == [same.randint(SEEDS), same.randint(SEEDS)]
    assert seed_of(None) != seed_of(None)


def test_names_of_parameters_are_those_of_the_class():
    class Longer(MiniBatchSGDClassifier):
        def __init__(self, loss="hinge", *, more=1):
            super().__init__(loss)
            self.more = more

    theirs = BaseEstimator._get_param_names.__func__
    for kind in (MiniBatchSGDClassifier, Longer, MiniBatchSGDClassifier):
        assert list(kind._get_param_names()) == theirs(kind)
    assert clone(Longer(more=2)).more == 2
