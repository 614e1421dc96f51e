"""Phantoms: synthetic chest films, to try everything without patient data."""
