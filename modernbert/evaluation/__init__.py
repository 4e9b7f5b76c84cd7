"""Metrics with intervals, prediction, scoring."""
