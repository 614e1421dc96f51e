"""Images: loading them, and drawing what a reader sees."""
