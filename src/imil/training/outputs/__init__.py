"""What a run writes and prints: predictions, tables, curves, maps and the page of its cases."""
