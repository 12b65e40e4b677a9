"""One LoRA adapter a user (OPPU, arXiv 2402.04401): its run, its training, and how it answers."""
