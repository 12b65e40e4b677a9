"""Language models that are known by name: which there are, where each lies, and how it is fetched."""
