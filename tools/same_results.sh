#!/usr/bin/env bash
# same_results.sh OLD_PROGRAM NEW_PROGRAM [DATA]: whether two programs give the same results on DATA
# (default: samples/data). Each runs the steps below into an empty folder with an empty cache, one
# program after the other; then tools/same_results.py compares all that they wrote and printed.
# Exit 0: equal; 1: different, or a step failed; 2: usage. The folders stay in OUT (default:
# build/same_results) as old/ and new/. THREADS: of each program; KINDS: of experts, as in demo.sh;
# GATE: options of the fits of a gate, such as "--gate linear --no-guard".
#
# same_results.sh --tolerance OLD_PROGRAM NEW_PROGRAM [DATA]: whether the new program may open what the
# old one trained. The old one trains (or REGISTRY is what it trained), both encode the dev texts and
# answer them: features may differ by 1e-4, one label in 1,000 may be another, and each is listed.
set -euo pipefail
usage() { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
say() { printf 'same_results: %s\n' "$*" >&2; }
existing() { realpath -e -- "$1" 2> /dev/null || { say "there is no $1"; exit 2; }; }

tolerance=
if [ "${1:-}" = --tolerance ]; then tolerance=1; shift; fi
if [ $# -lt 2 ] || [ $# -gt 3 ]; then usage; fi
root=$(existing "$(dirname "$0")/..")
old=$(existing "$1")
new=$(existing "$2")
data=$(existing "${3:-$root/samples/data}")
encoder=$(existing "${MOECOLLAB_ENCODER:-$root/.deps/encoder/all-MiniLM-L6-v2}")
out=$(realpath -m -- "${OUT:-$root/build/same_results}")
threads=${THREADS:-$(nproc)}
kinds=${KINDS:-adapter lexical}
gate=${GATE:-}
for program in "$old" "$new"; do
  if [ ! -f "$program" ] || [ ! -x "$program" ]; then say "$program is no program"; exit 2; fi
done
domains=$(cd "$data" && for d in */; do if [ -e "$d/train.jsonl" ]; then echo "${d%/}"; fi; done)
if [ "$(wc -l <<< "$domains")" -lt 2 ]; then say "$data has no two <domain>/train.jsonl"; exit 2; fi
unset "${!MOECOLLAB_@}"

# The program runs in its own folder and is given relative paths, so that no result holds the folder's
# name. What it prints is a result too; what it says meanwhile goes to a log.
step() {  # NAME STATUSES VERB ARGUMENT…
  local name=$1 allowed=$2 status=0
  shift 2
  "$program" "$@" > "printed/$name" 2>> "$log" || status=$?
  echo "$status" > "printed/$name.status"
  if [[ " $allowed " != *" $status "* ]]; then
    say "$program: $name ended with $status: $(grep -h error: "$log" | tail -n 1)"
    exit 1
  fi
}

# As tools/demo.sh does.
# shellcheck disable=SC2086  # several words or none
demo() {
  local domain kind
  for domain in $domains; do
    for kind in $kinds; do
      step "train-$domain-$kind.json" 0 train-expert "$domain-$kind" --kind "$kind" --domain "$domain" \
        --data-dir "$data" --registry registry --encoder "$encoder" "${options[@]}" --json
    done
  done
  step train-gate.json 0 train-gate $gate --data-dir "$data" --registry registry "${options[@]}" --json
  step train-baseline.json 0 train-baseline head --data-dir "$data" --registry registry "${options[@]}" --json
  step eval.txt 0 eval --data-dir "$data" --registry registry "${options[@]}" \
    --report report.json --html report.html --markdown report.md
}

# A weak relative of an installed expert is judged beside it. 5 and 6 are verdicts too.
admit() {
  local domain=${domains%%$'\n'*}
  step train-candidate.json 0 train-expert candidate --kind lexical --domain "$domain" --seed 2 --epochs 5 \
    --data-dir "$data" --registry candidates --encoder "$encoder" "${options[@]}" --json
  step admit.json "0 5 6" admit candidates/experts/candidate/1.0.0 --data-dir "$data" --registry registry "${options[@]}" --json
}

# The gate is fitted without the last domain, then grown by its experts.
grow() {
  local domain newcomer=${domains##*$'\n'} kind names=() others=()
  for domain in $domains; do
    if [ "$domain" != "$newcomer" ]; then others+=("--data=$domain=$data/$domain/train.jsonl"); fi
  done
  cp -r registry grown
  for kind in $kinds; do
    names+=("$newcomer-$kind")
    sed -i "s/^name = \"$newcomer-$kind\"\$/&\nenabled = false/" grown/registry.toml
  done
  # shellcheck disable=SC2086  # several words or none
  step train-old-gate.json 0 train-gate $gate --keep-replay 32 "${others[@]}" --registry grown "${options[@]}" --json
  sed -i '/^enabled = false$/d' grown/registry.toml
  step grow.json "0 6" grow "${names[@]}" --data-dir "$data" --registry grown "${options[@]}" --json
  if [ "$(< printed/grow.json.status)" = 6 ]; then say "$program: an old domain would lose, so the gate did not grow"; fi
  step eval-grown.json 0 eval --data-dir "$data" --registry grown "${options[@]}" --json
}

# Two folders that lack the same file would count as equal.
require_results() {
  local file
  for file in registry/{registry.toml,registry.lock.toml,gate/{gate.toml,gate.safetensors,history.jsonl}} \
    registry/experts/*/*/{expert.toml,weights.safetensors,probe.json} registry/{heldout,history,baselines,admission}/* \
    grown/gate/{gate.safetensors,replay.safetensors} report.{json,html,md} predictions.jsonl packed.moec \
    sweep/{points.jsonl,sweep.json,sweep.csv,sweep.html} cache/*/*; do
    if [ ! -s "$file" ]; then say "$program wrote no $file"; exit 1; fi
  done
}

results_of() {  # PROGRAM FOLDER
  local program=$1 log=$2.log start=$SECONDS options=(--threads "$threads" --cache-dir cache --quiet) packages
  rm -rf "$2" "$log"
  mkdir -p "$2/printed"
  cd "$2"
  step version 0 --version
  demo
  cat "$data"/*/dev.jsonl > texts.jsonl
  step predictions.jsonl 0 predict texts.jsonl --max-latency-ms 60000 --registry registry --threads "$threads" --quiet
  mv printed/predictions.jsonl .
  # shellcheck disable=SC2086  # several words or none
  step sweep.json 0 sweep $gate --lambda1 0 0.05 --lambda2 0 0.05 --out sweep --data-dir "$data" --registry registry "${options[@]}" --json
  admit
  grow
  packages=(registry/experts/*/1.0.0)
  step pack.json 0 pack "${packages[0]}" --output packed.moec --json
  step experts.json 0 experts list --registry registry --json
  require_results
  say "$program: $((SECONDS - start)) s"
}

# What a program encodes and answers with the registry that lies in FOLDER.
answers_of() {  # PROGRAM FOLDER
  local program=$1 log=$2.log
  cd "$2"
  cat "$data"/*/dev.jsonl > texts.jsonl
  step encode.json 0 encode --input texts.jsonl --output features.safetensors --registry registry --threads "$threads" --quiet --json
  step predictions.jsonl 0 predict texts.jsonl --registry registry --threads "$threads" --quiet
  mv printed/predictions.jsonl .
}

compare_within_tolerance() {
  local program=$old log=$out/old.log options=(--threads "$threads" --cache-dir cache --quiet)
  rm -rf "$out/old" "$out/new"
  mkdir -p "$out/old/printed" "$out/new/printed"
  if [ -n "${REGISTRY:-}" ]; then cp -r "$REGISTRY" "$out/old/registry"; else (cd "$out/old" && demo); fi
  cp -r "$out/old/registry" "$out/new/registry"
  (answers_of "$old" "$out/old")
  (answers_of "$new" "$out/new")
  "$root/tools/same_results.py" --tolerance "$out/old" "$out/new"
}

if [ -n "$tolerance" ]; then compare_within_tolerance; exit; fi
(results_of "$old" "$out/old")
(results_of "$new" "$out/new")
"$root/tools/same_results.py" "$out/old" "$out/new"
