"""Joins the embedder to a frozen language model."""
