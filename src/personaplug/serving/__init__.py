"""An OpenAI-compatible server that knows its users."""
