"""Recipes, objectives, the one loop, checkpoints."""
