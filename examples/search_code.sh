#!/usr/bin/env bash
# Search a code base by meaning: here Python's own json package, with a model that installs as a package.
set -euo pipefail
folder=$(python -c 'import json, pathlib; print(pathlib.Path(json.__file__).parent)')
mbert index "$folder" --model minilm --to json-index
mbert search "escape characters that are not ASCII" --index json-index -k 3
mbert index "$folder" --model minilm --to json-index # again: nothing has changed, nothing is embedded
