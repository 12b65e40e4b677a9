"""The frozen language model: loaded, read by its embeddings, trained through, and decoded."""
