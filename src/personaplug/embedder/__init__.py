"""The method, one idea a file: history, encoder, aggregator, projector, user embedder, checkpoint."""
