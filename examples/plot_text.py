"""
Text: sparse rows, in batches of 1, 32 and all
==============================================

Which package is a paragraph of a docstring from? The texts are those of NumPy, SciPy and scikit-learn, which are
installed wherever this runs. TF-IDF makes sparse rows of thousands of columns, of which a row has some dozen values;
updates touch these alone, at every batch size, the penalty and the average included.

Sparse rows stay sparse: nothing centres them, and a dense copy would take a hundred times the memory.
"""

import re
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

from minibatch import MiniBatchSGDClassifier
from minibatch.model_selection import convergence_curve
from minibatch.plotting import ConvergenceDisplay

PACKAGES = ("numpy", "scipy", "sklearn")
texts, labels = [], []
for package in PACKAGES:
    (folder,) = find_spec(package).submodule_search_locations
    for path in sorted(Path(folder).rglob("*.py")):
        documents = re.findall(
            r'"""(.*?)"""', path.read_text(errors="ignore"), re.DOTALL
        )
        paragraphs = [
            part
            for text in documents
            for part in text.split("\n\n")
            if len(part.split()) > 25
        ]
        texts += paragraphs
        labels += [package] * len(paragraphs)
# no names of packages: that would be too easy
vectorizer = TfidfVectorizer(
    min_df=5, token_pattern=r"\b[a-z]{3,}\b", stop_words=[*PACKAGES, "scikit", "learn"]
)
X, y = vectorizer.fit_transform(texts), np.array(labels)
print(
    f"{X.shape[0]:,} paragraphs, {X.shape[1]:,} words, {X.nnz / X.shape[0]:.0f} of them in a paragraph"
)

# %%
# Three sizes
# -----------
folds = StratifiedKFold(3, shuffle=True, random_state=0)
model = MiniBatchSGDClassifier("log_loss", alpha=1e-5, tol=None, random_state=0)
curve = convergence_curve(
    model,
    X,
    y,
    param_range=[1, 32, "full"],
    cv=folds,
    budget={"epochs": 20},
    target=0.88,
)
print(curve)

# %%
# Beside scikit-learn, which goes row by row:
row_by_row = SGDClassifier(
    "log_loss", alpha=1e-5, max_iter=20, tol=None, random_state=0
)
score = cross_val_score(row_by_row, X, y, cv=folds)
print(f"SGDClassifier: {score.mean():.3f} ± {score.std():.3f}")

# %%
# The picture
# -----------
# Batches of 32 are ahead in the first epochs, and level with single rows after; full batches need many more passes.
figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
for ax, x in zip(axes, ("epoch", "seconds"), strict=True):
    ConvergenceDisplay.from_curve(curve, ax=ax, x=x, y="test_score")
plt.show()

# %%
# The words that speak for each package
# -------------------------------------
model.set_params(batch_size=32, max_iter=20).fit(X, y)
words = vectorizer.get_feature_names_out()
for package, weights in zip(model.classes_, model.coef_, strict=True):
    print(f"{package}: {', '.join(words[np.argsort(weights)[-8:]])}")
