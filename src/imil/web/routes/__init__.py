"""The routes of the reading room's API."""
