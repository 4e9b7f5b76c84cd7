#!/usr/bin/env bash
# MiniLM, in full and with LoRA, against the embedded ModernBERT, TF-IDF and the most frequent answer on five GLUE
# tasks; both models against BM25 on three collections. Makes what is missing (hours on one core; stop it and run it
# again as you like), then writes glue.md, glue.html and search.md beside this script.
#
#     pip install '.[demo]'
#     examples/comparison/run.sh BUNDLE                    # with glue/ and retrieval/ in it
#     examples/comparison/run.sh BUNDLE rte cola           # these of GLUE alone
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bundle=$(cd "$1" && pwd)
shift
export MBERT_RUNS=${MBERT_RUNS:-runs/comparison}

(($#)) || set -- rte cola mrpc stsb sst2
who=(-b tfidf -b majority -b modernbert-nano -m minilm -m "minilm lora")
glue=()
for name in "$@"; do
    glue+=(-t "glue/$name")
    seeds=3 settings=$here/settings.toml
    # Its training set is 10 to 30 times as large as the others'.
    if [[ $name == sst2 ]]; then seeds=1 settings=$here/settings-sst2.toml; fi
    mbert compare "${who[@]}" -t "glue/$name" --seeds "$seeds" --yes --data-dir "$bundle" --config "$settings"
done
mbert compare "${who[@]}" "${glue[@]}" --finished --show-seeds --overwrite -o "$here/glue.md"
mbert compare "${who[@]}" "${glue[@]}" --finished --no-texts --overwrite -o "$here/glue.html"
search=(-t codesearch/stdlib)
for name in scifact cranfield; do search+=(-t "$bundle/retrieval/$name"); done
mbert compare -b bm25 -m minilm -m modernbert-nano "${search[@]}" --yes --overwrite -o "$here/search.md"
