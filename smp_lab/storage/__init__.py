"""Run records and published numbers on disk. Needs no torch."""
