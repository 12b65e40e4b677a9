"""What rivals of the persona learn with: a ranking of items, a choice of prompts. The method stands without them."""
