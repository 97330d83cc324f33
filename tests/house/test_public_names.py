"""Public names: what can be imported stays so; every file says what others may take from it."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

import minibatch

PACKAGE = Path(minibatch.__file__).parent
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__init__.py"]

# Names that users import. Add to them; what goes must be deprecated first.
PUBLIC = {
    "minibatch": """
        History MiniBatchMLPClassifier MiniBatchMLPRegressor MiniBatchSGDClassifier
        MiniBatchSGDOneClassSVM MiniBatchSGDRegressor __version__
    """,
    "minibatch.linear_model": """
        MiniBatchSGDClassifier MiniBatchSGDOneClassSVM MiniBatchSGDRegressor
    """,
    "minibatch.neural_network": """
        MiniBatchMLPClassifier MiniBatchMLPRegressor
    """,
    "minibatch.model_selection": """
        BatchSizeRecommendation ConvergenceCurve ConvergenceScorer CriticalBatchSize MemoryRequired
        MiniBatchGridSearchCV PowerLaw StepsFit StepsToTargetResult batch_size_grid convergence_curve
        critical_batch_size fit_power_law fit_steps_to_target memory_required optimal_batch_size
        recommend_batch_size steps_to_target
    """,
    "minibatch.diagnostics": """
        BatchSharpnessCurve BatchSharpnessResult GradientNoiseCurve GradientNoiseResult HessianSpectrumResult
        LearningRateRangeResult LossInterpolationResult NormTestResult SharpnessResult StabilityLimit
        batch_sharpness batch_sharpness_curve gradient_noise_curve gradient_noise_scale hessian_spectrum
        learning_rate_range_test loss_interpolation norm_test sharpness stability_limit
    """,
    "minibatch.plotting": """
        BatchSharpnessDisplay BatchSizeLearningRateDisplay BatchSizeScalingDisplay ConvergenceDisplay
        GeneralizationGapDisplay HessianSpectrumDisplay LearningCurveDisplay LearningRateRangeDisplay
        LossInterpolationDisplay NoiseScaleDisplay WorkersSimulationDisplay
    """,
    "minibatch.testing": """
        batch_checks batch_sizes check_all_rows_are_a_full_batch
        check_clone_pickle_and_refit_give_the_same_model check_dense_equals_sparse
        check_full_batch_ignores_the_order_of_rows check_partial_fits_over_slices_are_an_epoch
        check_penalty_does_not_depend_on_batch_size check_seed_alone_orders_the_rows check_updates_are_counted
        check_weights_are_repetitions classification_data estimators expected_failed_checks
        parametrize_with_batch_checks regression_data
    """,
    "minibatch.callbacks": """
        ModelCheckpoint latest_checkpoint
    """,
    "minibatch.schedules": """
        Progress constant cosine exp_range inverse_time invscaling one_cycle optimal scale_adam scale_learning_rate step
        triangular triangular2 warmup
    """,
    "minibatch.onnx": """
        register_converters
    """,
    "minibatch.distributed": """
        ArrayShards ParquetRows WorkersSimulation fit simulate_workers
    """,
    "minibatch.history": """
        History
    """,
}


def public_definitions(path):
    """Names without underscore that a file defines at its top level."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def listed(path):
    """``__all__`` as it stands in the source."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return ast.literal_eval(node.value)
    return None


@pytest.mark.parametrize("module", PUBLIC)
def test_no_public_name_has_gone(module):
    assert PUBLIC[module].split() == sorted(import_module(module).__all__)


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_there_and_documented(module):
    room = import_module(module)
    assert all(getattr(room, name).__doc__ for name in room.__all__)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_file_lists_what_it_defines(path):
    """A file of a public module lists what is for users, which may be less."""
    names, defined = listed(path), public_definitions(path)
    assert len(names) == len(set(names))
    is_public = path.parent == PACKAGE and f"minibatch.{path.stem}" in PUBLIC
    assert set(names) <= defined if is_public else set(names) == defined
