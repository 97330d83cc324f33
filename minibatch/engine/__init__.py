"""The compiled part: losses, penalties, optimizers, rows and the epoch loops. Nothing here knows an estimator."""
