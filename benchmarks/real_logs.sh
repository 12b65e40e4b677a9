#!/usr/bin/env bash
# Measure the plug and its controls on one task of the real logs: index, train, evaluate on test, compare.
#
#   benchmarks/real_logs.sh TASK LOG OUT [TRAIN_QUERIES] [TEST_QUERIES] [SEED]
#
# For example: benchmarks/real_logs.sh acl-venue ../shared/data/acl_papers.jsonl.gz build/results
set -euo pipefail

task=$1 log=$2 out=$3 train=${4:-12000} test=${5:-500} seed=${6:-0}
here=$out/$task/seed-$seed
store=$out/$task/store.db
fit=(--epochs 1 --limit "$train" --seed "$seed" --max-input-tokens 64 --max-output-tokens 48 --batch-size 32)
mkdir -p "$here"

[ -s "$store" ] || personaplug index "$log" --task "$task" --store "$store"

train() { # NAME OPTIONS...
  [ -e "$here/$1/README.md" ] || personaplug train "$log" --task "$task" --store "$store" --out "$here/$1" --resume "${fit[@]}" "${@:2}"
}
measure() { # NAME METHOD OPTIONS...
  [ -e "$here/$1.json" ] || personaplug evaluate "$log" --task "$task" --split test --method "$2" --store "$store" \
    --limit "$test" --seed 0 --out "$here/$1.json" "${@:3}"
}

train plug
train tuned-prompt --method tuned-prompt
train paper --preset paper --encoder minilm --backbone nano

measure plain plain --run "$here/plug"
measure tuned-prompt tuned-prompt --run "$here/tuned-prompt"
measure plug plug --run "$here/plug"
measure plug-stranger plug --run "$here/plug" --stranger
measure paper plug --run "$here/paper"
measure paper-stranger plug --run "$here/paper" --stranger
measure bm25 bm25 --run "$here/plug" --k 2

personaplug compare "$here"/*.json --html "$here/report.html" --markdown "$here/table.md"
