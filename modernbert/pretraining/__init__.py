"""Masked-language-model training on text and code: corpus, tokens on disk, masks, network."""
