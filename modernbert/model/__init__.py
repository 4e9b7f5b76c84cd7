"""The encoder: packed execution, attention backends, heads, LoRA, the catalogue of checkpoints."""
