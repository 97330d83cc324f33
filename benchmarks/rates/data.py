"""Data for the tables of rates: scikit-learn's own and generated ones, and archives with X and y in MINIBATCH_DATA."""

import os
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn import datasets
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import StandardScaler

FOLDER = os.environ.get("MINIBATCH_DATA")


def docstrings():
    """Which package is a paragraph of a docstring from?"""
    texts, labels = [], []
    for label, package in enumerate(("numpy", "scipy", "sklearn", "numba")):
        (folder,) = find_spec(package).submodule_search_locations
        for path in sorted(Path(folder).rglob("*.py")):
            documents = re.findall(r'"""(.*?)"""', path.read_text(errors="ignore"), re.DOTALL)
            paragraphs = [part for text in documents for part in text.split("\n\n") if len(part.split()) > 25]
            texts += paragraphs
            labels += [label] * len(paragraphs)
    return TfidfVectorizer(min_df=5, token_pattern=r"\b[a-z]{3,}\b").fit_transform(texts), np.array(labels)


def zipf():
    """Words of a language in which the n-th is 1 / n as frequent as the first; some speak for one of two classes."""
    rng = np.random.default_rng(0)
    n_rows, n_words, length = 6000, 5000, 40
    frequency = 1.0 / np.arange(1, n_words + 1)
    words = rng.choice(n_words, (n_rows, length), p=frequency / frequency.sum())
    X = sparse.csr_matrix(
        (np.ones(words.size), (np.repeat(np.arange(n_rows), length), words.ravel())), (n_rows, n_words)
    )
    speaks = rng.standard_normal(n_words) * (rng.random(n_words) < 0.2)
    return X, (X @ speaks + 0.5 * rng.standard_normal(n_rows) > 0).astype(int)


OWN = {
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "breast_cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True, scaled=False),
    "five classes": lambda: datasets.make_classification(5000, 30, n_informative=15, n_classes=5, random_state=0),
    "two classes": lambda: datasets.make_classification(6000, 100, n_informative=20, flip_y=0.1, random_state=1),
    "friedman": lambda: datasets.make_friedman1(5000, noise=1.0, random_state=0),
    "low rank": lambda: datasets.make_regression(6000, 60, effective_rank=10, noise=1.0, random_state=0),
    "docstrings": docstrings,
    "zipf": zipf,
}


def archives():
    return [path.stem for path in sorted(Path(FOLDER).glob("*.npz"))] if FOLDER else []


def arrays(name):
    if name in OWN:
        return OWN[name]()
    path = Path(FOLDER) / f"{name}.npz"
    archive = np.load(path)
    return (archive["X"] if "X" in archive else sparse.load_npz(path).tocsr()), archive["y"]


def is_classification(y):
    return y.dtype.kind not in "f" and len(np.unique(y)) <= 30


def standardised(X, train, *others):
    """Rows of X, in float32, with the columns of the first part at variance 1 (and mean 0, where X is dense)."""
    scaler = StandardScaler(with_mean=isinstance(X, np.ndarray)).fit(X[train].astype(np.float64))
    return [scaler.transform(X[part].astype(np.float64)).astype(np.float32) for part in (train, *others)]
