"""The reading room's server: a page and a JSON API over a store."""
