"""Models behind HTTP: requests share packed batches."""
