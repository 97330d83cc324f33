"""What every estimator is: checks before any work, parameters in words, what is saved and what is kept."""
