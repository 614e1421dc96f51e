"""Readings of a run in the formats of other tools: marks on images, as boxes, polygons or masks."""
