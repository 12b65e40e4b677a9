"""Measuring anything that answers: see :func:`personaplug.evaluation.harness.evaluate`."""
