"""A bench: what a recipe says, what is done about it in a folder, and what it comes to."""
