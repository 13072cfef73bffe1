# evaluate.sh PROGRAM PACKAGE DATA: trains the expert, and fails unless it is right on 8 of 10 texts.
set -eu
program=$1 package=$2 data=$3
rm -rf registry
"$program" train-expert @NAME@ --kind "$package" --domain @NAME@ --data "@NAME@=$data/train.jsonl" --registry registry --quiet
"$program" train-gate --data "@NAME@=$data/train.jsonl" --registry registry --quiet
"$program" eval --data "@NAME@=$data/dev.jsonl" --registry registry --quiet --require 'accuracy>=0.8'
