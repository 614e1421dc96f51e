"""Data: tables and folders of images, labels, splits, and the cache of decoded images."""
