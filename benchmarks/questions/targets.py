"""A training loss for batch sizes to reach: what the scripts about time and updates share."""

from sklearn.base import clone

EPOCHS = 30


def loss_to_reach(model, X, y, left):
    """The loss with this share of a fall left: from the first parameters to EPOCHS epochs in batches of 32 rows."""
    rate = "eta0" if "eta0" in model.get_params() else "learning_rate_init"
    model = clone(model).set_params(batch_size=32, max_iter=EPOCHS, tol=None, evaluate_every=1, random_state=0)
    still = clone(model).set_params(max_iter=1, learning_rate="constant", **{rate: 1e-12})
    first, lowest = (one.fit(X, y).history_["train_loss"][-1] for one in (still, model))
    return lowest + left * (first - lowest)
