"""What is checked before the first job of a study starts."""
