"""The page on which a person sees a persona work."""
