"""Kinds of runs."""

# These train a network: they have a model, and can be resumed.
TRAININGS = ("finetune", "pretrain")
