"""Which model is better, by how much, how sure, and at what cost."""
