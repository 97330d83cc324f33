"""training.rules: when each stopping rule is met, on made-up objectives and scores."""

import numpy as np

from minibatch._training.rules import BestRule, ScoreRule, WindowRule


def shown(rule, objectives, scores=None, losses=None):
    """Whether the rule is met, after each of the epochs; it sees a state that is the number of the epoch."""

    class Epoch:
        def __init__(self, number):
            self.number = number

        def copy(self):
            return self

    nothing = np.full(len(objectives), np.nan)
    met = []
    for epoch, row in enumerate(
        zip(objectives, nothing if scores is None else scores, nothing if losses is None else losses, strict=True)
    ):
        rule.see(*row, Epoch(epoch))
        met.append(rule.is_met())
    return met


def test_a_rise_is_more_than_noise():
    noise = 0.1 * np.random.default_rng(0).standard_normal(200)
    for rule in (WindowRule, BestRule):
        flat, rising = rule(1e-3, 5), rule(1e-3, 5)
        shown(flat, 1.0 + noise)
        shown(rising, 1.0 + noise + 0.1 * np.arange(200))
        assert not flat.has_risen()
        assert rising.has_risen()
        down_and_up = rule(1e-3, 5)
        shown(down_and_up, np.r_[np.linspace(1.0, 0.5, 20), np.full(40, 0.8) + 0.01 * noise[:40]])
        assert down_and_up.has_risen()
        assert "has risen since epoch 20 of this fit, from 0.5 to 0.8" in down_and_up.why_not_met(True)


def test_tol_is_measured_in_its_unit():
    objectives = 100.0 - 1.0 * np.arange(10)
    assert not shown(WindowRule(1e-2, 5, unit=1.0), objectives)[-1]
    assert shown(WindowRule(1e-2, 5, unit=1000.0), objectives)[-1]
    assert not shown(BestRule(1e-2, 2, unit=1.0), objectives)[-1]
    assert shown(BestRule(1e-2, 2, unit=1000.0), objectives)[-1]


def test_a_run_that_goes_on_is_waited_for_as_long_again():
    rule = BestRule(1e-2, 3)
    assert shown(rule, np.ones(5)) == [False, False, False, True, True]
    rule.wait_again()
    assert shown(rule, np.ones(4)) == [False, False, True, True]
    windows = WindowRule(1e-2, 3)
    assert shown(windows, np.ones(6))[-1]
    windows.wait_again()
    assert shown(windows, np.ones(1)) == [True]


def test_what_comes_down():
    falling = WindowRule(1e-3, 5, objectives=[*(10.0 / np.arange(1, 30))])
    assert falling.comes_down(1.0)
    noise = np.random.default_rng(1).standard_normal(60)
    assert not WindowRule(1e-3, 5, objectives=[5.0, *(3.0 + 0.1 * noise)]).comes_down(3.0)
    assert not WindowRule(1e-3, 5, objectives=[*np.arange(20.0)]).comes_down(20.0)
    assert not WindowRule(1e-3, 5, objectives=[np.inf, 3.0, 2.0, 1.0]).comes_down(1.0)
    assert [WindowRule(1e-3, 5, objectives=[3.0]).comes_down(end) for end in (2.0, 4.0)] == [True, False]


def test_of_equal_scores_the_lowest_loss_is_kept():
    losses = [0.5, 0.4, 0.3, 0.35, 0.36, 0.37, 0.38]
    rule = ScoreRule(1e-3, 3, unit=1.0)
    met = shown(rule, np.zeros(7), np.full(7, 0.9), losses)
    assert met == [False] * 5 + [True] * 2  # three epochs after the loss was lowest
    assert rule.state_to_keep(None).number == 2


def test_a_loss_that_hardly_falls_is_no_progress():
    rule = ScoreRule(1e-3, 3, unit=1.0)
    assert shown(rule, np.zeros(6), np.full(6, 0.9), 0.5 - 1e-5 * np.arange(6)) == [False] * 3 + [True] * 3
    assert rule.state_to_keep(None).number == 5
    slowly = ScoreRule(1e-3, 3, unit=1.0)  # but what adds up to tol within the patience is
    assert not any(shown(slowly, np.zeros(30), np.full(30, 0.9), 0.5 - 5e-4 * np.arange(30)))


def test_a_better_score_counts_more_than_any_loss():
    rule = ScoreRule(1e-3, 3, unit=1.0)
    shown(rule, np.zeros(4), [0.8, 0.9, 0.9, 0.85], [0.1, 0.9, np.nan, 0.01])
    assert rule.state_to_keep(None).number == 1


def test_the_rule_still_improving_says_so():
    rule = BestRule(1e-3, 5)
    shown(rule, [3.0, 2.0, 1.0])
    assert rule.why_not_met(True) == "The objective is still descending by more than tol=0.001. [MB105]"
    rule.unit = 5.0
    assert "tol=0.001 times 5, what a constant leaves to gain." in rule.why_not_met(True)
    score = ScoreRule(1e-3, 5)
    shown(score, np.zeros(3), [0.1, 0.2, 0.3], np.zeros(3))
    assert score.why_not_met(True) == "The validation score is still improving. [MB105]"
