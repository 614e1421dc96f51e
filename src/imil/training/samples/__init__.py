"""The images of a run: prepared once, drawn in batches, augmented and mixed."""
