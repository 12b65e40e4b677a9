"""Ranking one user's items for a prompt: see :class:`personaplug.retrieval.base.Retriever`."""
