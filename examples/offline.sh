#!/usr/bin/env bash
# A bundle with checksums, then training without a network.
set -euo pipefail
mbert download text/bbc-news minilm --to bundle
(cd bundle && sha256sum --check --quiet SHA256SUMS)
mbert --offline finetune text/bbc-news --model minilm --data-dir bundle --limit 64 --epochs 1 --max-length 64
