"""The method, one idea a file: history, selection, encoder, aggregator, projector, instruction, user embedder."""
