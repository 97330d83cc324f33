"""scikit-learn's own checks, and what it asks a class about: tags, and where its documentation is."""

import html
import re
import tomllib
from pathlib import Path

import pytest
from sklearn.base import clone
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import (
    check_estimator,
    check_estimator_sparse_tag,
    check_sample_weight_equivalence_on_dense_data,
    parametrize_with_checks,
)

from minibatch import MiniBatchMLPClassifier, MiniBatchMLPRegressor, MiniBatchSGDClassifier, MiniBatchSGDRegressor
from minibatch.testing import expected_failed_checks

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = [MiniBatchSGDClassifier, MiniBatchSGDRegressor, MiniBatchMLPClassifier, MiniBatchMLPRegressor]
NETWORKS = ESTIMATORS[2:]
LOG_LINKS = [MiniBatchSGDRegressor("poisson"), MiniBatchSGDRegressor("gamma"), MiniBatchMLPRegressor(loss="poisson")]


@parametrize_with_checks([estimator(batch_size="full") for estimator in ESTIMATORS])
def test_full_batches_pass_every_check(estimator, check):
    check(estimator)


# The weight checks have fewer rows than the default batch: nothing to declare.
@parametrize_with_checks([estimator() for estimator in ESTIMATORS], expected_failed_checks=expected_failed_checks)
def test_default_batches_pass_every_check(estimator, check):
    check(estimator)


@parametrize_with_checks(
    [estimator(batch_size=4) for estimator in ESTIMATORS], expected_failed_checks=expected_failed_checks
)
def test_small_batches_pass_all_but_the_declared_checks(estimator, check):
    check(estimator)


# ---------------------------------------------------------------------- which checks fail


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_only_checks_of_weights_as_repetitions_are_declared(estimator):
    assert expected_failed_checks(estimator()) == expected_failed_checks(estimator(batch_size="full")) == {}
    declared = expected_failed_checks(estimator(batch_size=4))
    assert sorted(declared) == [f"check_sample_weight_equivalence_on_{kind}_data" for kind in ("dense", "sparse")]


BOUNDARIES = [
    *[(estimator, {"batch_size": size}) for estimator in ESTIMATORS for size in (14, 26, 27, 0.9, 1.0, "auto")],
    *[(estimator, {"batch_size": "full", "early_stopping": True}) for estimator in ESTIMATORS],
    *[(network, {"batch_size": "full", "dropout": 0.5}) for network in NETWORKS],
    *[(network, {"batch_size": 4, "solver": "lbfgs"}) for network in NETWORKS],
]


@pytest.mark.parametrize(("estimator", "parameters"), BOUNDARIES)
def test_what_is_declared_fails_and_nothing_else(estimator, parameters):
    model = estimator(max_iter=20, **parameters)
    try:
        check_sample_weight_equivalence_on_dense_data(estimator.__name__, clone(model))
    except Exception:
        assert len(expected_failed_checks(model)) == 2
    else:
        assert expected_failed_checks(model) == {}


def test_users_hand_them_to_check_estimator():
    model = MiniBatchSGDRegressor(batch_size=4)
    results = check_estimator(model, expected_failed_checks=expected_failed_checks(model))
    assert {result["status"] for result in results} <= {"passed", "skipped", "xfail"}
    assert sum(result["status"] == "xfail" for result in results) == 2


def test_other_estimators_have_no_declared_checks():
    with pytest.raises(TypeError, match="estimators of minibatch; got 'SGDClassifier'"):
        expected_failed_checks("SGDClassifier")


# ---------------------------------------------------------------------- tags


@pytest.mark.parametrize("model", LOG_LINKS)
def test_log_links_need_targets_that_are_not_negative(model):
    assert get_tags(model).target_tags.positive_only
    assert not get_tags(clone(model).set_params(loss="squared_error")).target_tags.positive_only


# One of the checks asks for a good fit: the rates are those of its rows.
@parametrize_with_checks(
    [
        clone(model).set_params(**{model._rate_parameter: rate, "batch_size": "full"})
        for model, rate in zip(LOG_LINKS, (0.1, 0.1, 0.01), strict=True)
    ],
    expected_failed_checks=expected_failed_checks,
)
def test_log_links_pass_all_but_the_check_with_negative_targets(estimator, check):
    assert list(expected_failed_checks(estimator)) == ["check_regressor_multioutput"]
    check(estimator)


@pytest.mark.parametrize("estimator", NETWORKS)
def test_a_normalized_input_is_not_sparse(estimator):
    for kind, sparse in ((False, True), (True, True), ("input", False)):
        model = estimator(batch_normalization=kind, batch_size="full", max_iter=3)
        assert get_tags(model).input_tags.sparse == sparse
        check_estimator_sparse_tag(estimator.__name__, model)


# ---------------------------------------------------------------------- notebooks


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_notebooks_describe_and_link_every_parameter(estimator):
    model = estimator()
    described = re.findall(r'href="([^"]+)">\s*(\w+)\s*<span class="param-doc-description"', model._repr_html_())
    assert sorted(name for _, name in described) == sorted(model.get_params())
    for link, name in described:
        page, _, fragment = html.unescape(link).partition("#:~:text=")
        assert page == model._get_doc_link()
        assert fragment.startswith(f"{name},-")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_links_lead_to_the_documentation_of_the_project(estimator):
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    module = estimator.__module__.rpartition("._")[0]
    expected = f"{project['urls']['Documentation']}generated/{module}.{estimator.__name__}.html"
    assert estimator()._get_doc_link() == expected


def test_a_class_of_somebody_elses_has_no_link():
    class Own(MiniBatchSGDRegressor):
        pass

    assert Own()._get_doc_link() == ""
