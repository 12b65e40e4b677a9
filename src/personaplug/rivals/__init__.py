"""Rivals of the persona that learn in ways of their own, a room each. The method stands without them."""
