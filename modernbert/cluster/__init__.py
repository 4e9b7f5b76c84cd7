"""Encoding on several machines: shards of Parquet in, shards out, on a Ray cluster."""
