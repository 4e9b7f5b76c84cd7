#!/usr/bin/env bash
# MiniLM, in full and with LoRA, and the embedded ModernBERT against TF-IDF and the most frequent answer on two GLUE
# tasks, five seeds each; MiniLM against BM25 on two collections. Makes what is missing (over an hour on one core;
# stop it and run it again as you like), then writes glue.md, glue.html and search.md beside this script.
#
#     pip install '.[demo]'
#     examples/comparison/run.sh BUNDLE                    # with glue/, retrieval/ and codesearch/ in it
#     examples/comparison/run.sh BUNDLE rte cola mrpc stsb # more of GLUE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bundle=$(cd "$1" && pwd)
shift
export MBERT_RUNS=${MBERT_RUNS:-runs/comparison}

(($#)) || set -- rte cola
glue=()
for name in "$@"; do glue+=(-t "glue/$name"); done
who=(-b tfidf -b majority -m minilm -m "minilm lora" -m modernbert-nano)
mbert compare "${who[@]}" "${glue[@]}" --seeds 5 --yes --data-dir "$bundle" --config "$here/settings.toml" \
    --show-seeds -o "$here/glue.md"
mbert compare "${who[@]}" "${glue[@]}" --finished --no-texts -o "$here/glue.html"
mbert compare -b bm25 -m minilm -t "$bundle/retrieval/scifact" -t "$bundle/codesearch/so-python" --yes \
    -o "$here/search.md"
