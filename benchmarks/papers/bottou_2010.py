"""Bottou 2010: gradient descent by single rows finds in a few passes what other solvers take far longer for.

Two tables, both on generated rows: text of the shape of RCV1 (words by Zipf's law, TF-IDF, rows of length 1), fewer
documents; and dense rows of the shape of ALPHA, where two averaged passes are to come near the optimum. The rate falls
as ``eta0 / (1 + alpha eta0 t)``, of averaged descent to the power of 0.75; eta0 is found on 1,000 rows, as there.

    python benchmarks/papers/bottou_2010.py
"""

import time

import numpy as np
from reproduction import Claim, Found, number, reproduce
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from minibatch import MiniBatchSGDClassifier

SAMPLE = 1_000  # rows, on which the first rate is found
TEXT = {"hinge": 1e-4, "log_loss": 5e-7}
DENSE_ALPHA = 1e-6
PASSES = (1, 2, 5, 20)


class Falling:
    """The schedule of averaged descent: ``(1 + alpha eta0 t)^-0.75`` of the first rate."""

    def __init__(self, alpha, eta0):
        self.slope = alpha * eta0

    def __call__(self, now):
        return (1.0 + self.slope * now.updates) ** -0.75


def text(n_documents, n_words, rng):
    """Documents about one of two things, in part: the more of a document is about nothing, the harder it is to tell."""
    common = 1.0 / np.arange(1, n_words + 1)
    topics = [common * np.exp(rng.normal(0.0, 1.0, n_words)) for _ in range(2)]
    about, share = rng.integers(2, size=n_documents), rng.beta(1.5, 1.5, n_documents)
    lengths = np.clip(rng.lognormal(4.7, 0.5, n_documents), 20, 600).astype(int)
    documents = np.repeat(np.arange(n_documents), lengths)
    words = rng.choice(n_words, documents.size, p=common / common.sum())
    is_topical = rng.random(documents.size) < share[documents]
    for topic, frequency in enumerate(topics):
        mine = np.flatnonzero(is_topical & (about[documents] == topic))
        words[mine] = rng.choice(n_words, mine.size, p=frequency / frequency.sum())
    counts = sparse.csr_matrix((np.ones(words.size), (documents, words)), (n_documents, n_words))
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts), about


def dense(n_rows, n_columns, rng):
    """Correlated columns: the Hessian has eigenvalues of all sizes, as that of real ones. Labels are noisy."""
    scales = np.arange(1, n_columns + 1, dtype=np.float32)[:, None] ** -0.5
    turned = np.linalg.qr(rng.standard_normal((n_columns, n_columns), dtype=np.float32))[0]
    scores = rng.standard_normal((n_rows, n_columns), dtype=np.float32)
    X = normalize(scores @ (scales * turned))
    margin = scores @ rng.standard_normal(n_columns) / np.sqrt(n_columns)
    return X, (rng.random(n_rows) < 1.0 / (1.0 + np.exp(-4.0 * margin))).astype(int)


def sgd(loss, alpha, eta0, passes, average=False):
    """``average`` is a number of rows: averages begin after these."""
    falling = Falling(alpha, eta0) if average else "inverse_time"
    return MiniBatchSGDClassifier(
        loss, alpha=alpha, batch_size=1, learning_rate=falling, eta0=eta0, average=average, max_iter=passes, tol=None,
        random_state=0,
    )  # fmt: skip


def first_rate(loss, alpha, X, y):
    """From 1 doubled or halved, as long as a pass over the first rows ends lower; the lower end of the bracket."""

    def objective(eta0):
        model = sgd(loss, alpha, eta0, 1)
        model.set_params(learning_rate="constant", evaluate_every=1).fit(X[:SAMPLE], y[:SAMPLE])
        return model.history_["objective"][-1]

    factor = 0.5 if objective(1.0) < objective(2.0) else 2.0
    eta0 = 1.0
    while objective(eta0 * factor) < objective(eta0):
        eta0 *= factor
    return eta0 * min(factor, 1.0)


def timed(model, X, y, X_test, y_test):
    """Seconds of the processor, and test error in percent."""
    start = time.process_time()
    model.fit(X, y)
    return time.process_time() - start, 100 * (1 - model.score(X_test, y_test))


def text_table(rows, n_train):
    """Every solver on every loss: seconds and test error."""
    X, y = rows
    parts = X[:n_train], y[:n_train], X[n_train:], y[n_train:]
    found = {}
    for loss, alpha in TEXT.items():
        eta0 = first_rate(loss, alpha, *parts[:2])
        C = 1.0 / (alpha * n_train)
        rivals = {
            "hinge": LinearSVC(C=C, loss="hinge", max_iter=10_000, random_state=0),
            "log_loss": LogisticRegression(C=C, solver="newton-cg"),
        }
        models = {type(rivals[loss]).__name__: rivals[loss]}
        passes = {"hinge": 5, "log_loss": 12}[loss]  # those of his program's documentation
        models |= {f"SGD, {passes} passes": sgd(loss, alpha, eta0, passes)}
        models |= {f"averaged SGD, {n} passes": sgd(loss, alpha, eta0, n, average=n_train) for n in (2, passes)}
        for model in models.values():
            model.fit(X[:SAMPLE], y[:SAMPLE])  # what is compiled is compiled before the clock runs
        found[loss] = {name: timed(model, *parts) for name, model in models.items()}
    return found


def dense_curve(rows, n_train):
    """Test errors in percent by passes, and at the optimum. Averages begin after the first pass, or with it."""
    X, y = rows
    parts = X[:n_train], y[:n_train], X[n_train:], y[n_train:]
    eta0 = first_rate("log_loss", DENSE_ALPHA, *parts[:2])
    errors = {
        name: [timed(sgd("log_loss", DENSE_ALPHA, eta0, n, start(n)), *parts)[1] for n in PASSES]
        for name, start in (("SGD", lambda n: False), ("averaged SGD", lambda n: True if n == 1 else n_train))
    }
    best = MiniBatchSGDClassifier("log_loss", solver="lbfgs", alpha=DENSE_ALPHA, max_iter=2_000, tol=1e-8)
    return errors, timed(best, *parts)[1]


def measure(quick):
    n_text, n_dense, n_columns = (4_000, 2_000, 50) if quick else (200_000, 100_000, 500)
    rng = np.random.default_rng(0)
    texts = text_table(text(n_text, 47_152, rng), 4 * n_text // 5)
    errors, best = dense_curve(dense(n_dense, n_columns, rng), n_dense // 2)
    by_text = [
        [loss, name, number(seconds), f"{error:.2f}"]
        for loss, of in texts.items()
        for name, (seconds, error) in of.items()
    ]
    by_passes = [[name, *(f"{error:.2f}" for error in of), ""] for name, of in errors.items()]
    tables = {
        "text": (["loss", "solver", "seconds", "test error, %"], by_text),
        "passes": (
            ["test error, %", *(f"{n} pass{'es' if n > 1 else ''}" for n in PASSES), "optimum"],
            [*by_passes, ["L-BFGS", *[""] * len(PASSES), f"{best:.2f}"]],
        ),
    }
    return Found(claims(texts, errors, best), tables, draw(errors, best))


def claims(texts, errors, best):
    def compared(loss):
        return list(texts[loss].values())[:2]

    (svm_seconds, svm_error), (hinge_seconds, hinge_error) = compared("hinge")
    (newton_seconds, newton_error), (log_seconds, log_error) = compared("log_loss")
    return [
        Claim(
            "hinge: test error of SGD above that of the exact solver", "0 points (both 6.02 %)",
            [hinge_error - svm_error], (-0.15, 0.15), np.nan, "points",
        ),
        Claim(
            "log loss: the same", "0 points (both 5.14 %)", [log_error - newton_error], (-0.15, 0.15), np.nan, "points"
        ),
        Claim(
            "hinge: seconds of the exact solver over SGD's", "2.5 to 16,000", [svm_seconds / hinge_seconds],
            (2.5, 16_000), 1,
        ),
        Claim("log loss: the same", "8 (33 and 4 s)", [newton_seconds / log_seconds], (2, 50), 1),
        Claim(
            "dense rows: averaged SGD after 2 passes above the optimum", "0.01 points (21.87 and 21.86 %)",
            [errors["averaged SGD"][PASSES.index(2)] - best], (-0.2, 0.2), np.nan, "points",
        ),
        Claim(
            "dense rows: SGD after 20 passes above averaged after 2", "0.92 points (22.79 and 21.87 %)",
            [errors["SGD"][PASSES.index(20)] - errors["averaged SGD"][PASSES.index(2)]], (0.2, 5.0), 0, "points",
        ),
    ]  # fmt: skip


def draw(errors, best):
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for (name, of), marker in zip(errors.items(), "os", strict=True):
        ax.plot(PASSES, of, marker=marker, label=name)
    ax.axhline(best, color="black", linestyle="--", label="optimum (L-BFGS)")
    ax.set(xscale="log", xlabel="Passes over the rows", ylabel="Test error, %", title="Dense rows, log loss")
    ax.set_xticks(PASSES, PASSES)
    ax.minorticks_off()
    ax.legend()
    return figure


if __name__ == "__main__":
    reproduce(__file__, measure)
