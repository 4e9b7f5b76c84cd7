#!/usr/bin/env bash
# MiniLM, in full and with LoRA, and the embedded ModernBERT against TF-IDF and the most frequent answer on five
# GLUE tasks; MiniLM against BM25 on four collections. Makes what is missing (hours on a CPU; stop it and run it
# again as you like), then writes glue.md, glue.html and search.md beside this script.
#
#     pip install '.[demo]'
#     examples/comparison/run.sh BUNDLE     # with glue/, retrieval/ and codesearch/ in it
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bundle=$(cd "$1" && pwd)
export MBERT_RUNS=${MBERT_RUNS:-runs/comparison}

made_alike=(--data-dir "$bundle" --config "$here/settings.toml")
models=(-m minilm -m "minilm lora" -m modernbert-nano)
baselines=(-b tfidf -b majority)
mbert compare "${baselines[@]}" "${models[@]}" "${made_alike[@]}" --yes --seeds 5 \
    -t glue/rte -t glue/mrpc -t glue/stsb -t glue/cola
mbert compare "${baselines[@]}" "${models[@]}" "${made_alike[@]}" --yes --seeds 1 -t glue/sst2
mbert compare "${baselines[@]}" "${models[@]}" --finished -o "$here/glue.md" --show-seeds \
    -t glue/rte -t glue/mrpc -t glue/stsb -t glue/cola -t glue/sst2
mbert compare "${baselines[@]}" "${models[@]}" --finished -o "$here/glue.html" --no-texts \
    -t glue/rte -t glue/mrpc -t glue/stsb -t glue/cola -t glue/sst2

collections=()
for name in retrieval/scifact codesearch/so-python codesearch/so-csharp codesearch/so-sql; do
    collections+=(-t "$bundle/$name")
done
mbert compare -b bm25 -m minilm "${collections[@]}" --data-dir "$bundle" --yes -o "$here/search.md"
