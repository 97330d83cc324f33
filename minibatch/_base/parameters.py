"""Names of parameters, and where they are documented."""

from functools import cache

from sklearn.base import BaseEstimator

__all__ = ["NamedParameters"]


class NamedParameters(BaseEstimator):
    """What scikit-learn asks the class of an estimator."""

    # where notebooks find the parameters: the page of the class in the documentation that pyproject.toml names
    _doc_link_module = "minibatch"
    _doc_link_template = (
        "https://scikit-minibatch.readthedocs.io/en/stable/generated/{estimator_module}.{estimator_name}.html"
    )

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        """Found once: scikit-learn reads the signature whenever it asks, which is most of what a clone costs."""
        names: list[str] = super()._get_param_names()
        return names
