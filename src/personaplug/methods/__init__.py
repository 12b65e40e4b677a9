"""The contenders, one protocol: :class:`personaplug.evaluation.harness.Method`."""
