"""Retrieval that is learned from what the language model says of each item: ROPG's ranker, RSPG's selector."""
