#!/usr/bin/env bash
# Measure the plug and its controls on one task of the real logs: index, train, evaluate on test, compare.
#
#   benchmarks/real_logs.sh TASK LOG OUT [TRAIN_QUERIES] [TEST_QUERIES] [SEED]
#
# For example: benchmarks/real_logs.sh acl-venue ../shared/data/acl_papers.jsonl.gz build/results
# What is done is not done again. Wall time and memory of each step go to OUT/TASK/seed-SEED/times.tsv.
set -euo pipefail

task=$1 log=$2 out=$3 train=${4:-12000} test=${5:-500} seed=${6:-0}
here=$out/$task/seed-$seed
store=$out/$task/store.db
fit=(--epochs 1 --limit "$train" --seed "$seed" --max-input-tokens 64 --max-output-tokens 48 --batch-size 8 --set training.dev_queries=200)
ask=(--split test --limit "$test" --seed 0 --max-new-tokens 48)
mkdir -p "$here"

timed() { # NAME COMMAND...
  /usr/bin/time -a -o "$here/times.tsv" -f "$1\t%e s\t%M KB" "${@:2}"
}
train() { # NAME OPTIONS...
  [ -e "$here/$1/model.safetensors" ] || timed "train $1" personaplug train "$log" --task "$task" --store "$store" \
    --out "$here/$1" --resume "${fit[@]}" "${@:2}"
}
measure() { # NAME METHOD OPTIONS...
  [ -e "$here/$1.json" ] || timed "evaluate $1" personaplug evaluate "$log" --task "$task" --method "$2" \
    --store "$store" --out "$here/$1.json" "${ask[@]}" "${@:3}"
}

timed index personaplug index "$log" --task "$task" --store "$store"

train plug
measure plug plug --run "$here/plug"
measure plug-stranger plug --run "$here/plug" --stranger
train tuned-prompt --method tuned-prompt
measure tuned-prompt tuned-prompt --run "$here/tuned-prompt"
measure plain plain --run "$here/plug"

train paper --preset paper --encoder minilm --backbone nano --set training.learning_rate=2e-4
mkdir -p "$here/paper-reports"
measure paper-reports/paper plug --run "$here/paper"
measure paper-reports/paper-stranger plug --run "$here/paper" --stranger
measure bm25 bm25 --run "$here/plug" --k 2

personaplug compare "$here"/{plain,tuned-prompt,bm25,plug,plug-stranger}.json \
  --html "$here/report.html" --markdown "$here/table.md"
personaplug compare "$here/tuned-prompt.json" "$here"/paper-reports/{paper,paper-stranger}.json "$here/plug.json" \
  --markdown "$here/paper.md"
