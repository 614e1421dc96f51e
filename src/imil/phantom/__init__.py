"""Phantoms: chest films drawn by imil, to try everything without any patient."""
