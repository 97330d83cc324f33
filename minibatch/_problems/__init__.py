"""What is trained: the arrays and codes of a problem, and the few things that training asks of it."""
