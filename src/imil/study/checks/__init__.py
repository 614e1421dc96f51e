"""The checks of a study before its first job starts."""
