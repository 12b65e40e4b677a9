"""What answers: the queue, the language models behind it, and the histories."""
