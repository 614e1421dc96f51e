"""Erasing readers, runs and studies; needs no framework, as `imil serve` does."""
