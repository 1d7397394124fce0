"""Runs that take many images: the figures of the cards, and later whole studies."""

from regard.experiments.evaluate import evaluate

__all__ = ["evaluate"]
