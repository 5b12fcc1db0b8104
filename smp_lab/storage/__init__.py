"""Run records and published numbers on disk. Needs numpy and pandas only."""
