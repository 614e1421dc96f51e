"""The jobs of a study: their order, where they run, and what each does."""
