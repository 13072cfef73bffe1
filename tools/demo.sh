#!/usr/bin/env bash
# demo.sh DATA OUT [KIND…]: from data to an evaluation: an expert of each kind (adapter and lexical) for
# each domain, the gate, the report. Equal data, options and program reuse what OUT holds, and continue
# an interrupted run; others rebuild it. BASELINES=1 also trains the deep multi-task model; SEEDS=3 trains
# each deep expert with three seeds; GATE=linear fits that kind of gate; DEVICE=cuda computes on a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 out=$2
shift 2
kinds=${*:-adapter lexical}
program=build/bin/moecollab
device=${DEVICE:-cpu}
encoder=${MOECOLLAB_ENCODER:-.deps/encoder/all-MiniLM-L6-v2}
say() { printf 'demo: %s\n' "$*" >&2; }

[ -d "$data" ] || { say "there is no data folder $data; it holds <domain>/train.jsonl and <domain>/dev.jsonl"; exit 3; }
# By the names that the program gives them: SST-2 is sst-2.
domains=$("$program" data domains --data-dir "$data" | cut -f 1)
# That there is nothing to judge on is said before hours of training.
judged=$(for split in dev test; do "$program" data domains --data-dir "$data" --split $split 2> /dev/null || true; done | cut -f 1)
why="\`$program data domains --data-dir $data --split dev\` says why"
[ -n "$judged" ] || { say "$data: no domain has one dev or test file beside train to judge on; $why"; exit 3; }
for domain in $domains; do
  grep -qxF -- "$domain" <<< "$judged" || say "$data: $domain has no dev or test file that can be taken: it is trained, but not judged; $why"
done

# Options of train-expert beyond the kind's own recipe, chosen on held-out training texts of the five
# domains that `make table1` is about: sentiment and clauses gain from training all blocks, emotion from
# a higher rate, and news and medical from neither.
options_for() {  # KIND DOMAIN
  case $1-$2 in
    deep-adapter-general | deep-adapter-legal) echo --set depth=all --epochs 4 ;;
    deep-adapter-emotion) echo --lr 2e-4 ;;
  esac
}

# Kinds whose experts differ by their seed.
seeds_of() {  # KIND
  case $1 in deep-adapter) seq "${SEEDS:-1}" ;; *) echo 1 ;; esac
}

# Temperatures lower the held-out loss of the gate when experts are as sure of themselves as deep ones,
# and each of these costs an encoder's blocks per text: only those that the answer needs are asked.
gate_options() {
  case $kinds in *deep-adapter*) echo --calibrate --top-k auto ;; esac
  [ -z "${GATE:-}" ] || echo --gate "$GATE"
}

# What the result depends on, a line each, so that a change can be named.
inputs() {
  (cd "$data" && find -L . -mindepth 2 -maxdepth 2 -type f ! -name '.*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum -- | sed 's/^/data /')
  sha256sum "$encoder/model.safetensors" "$encoder/vocab.txt" | sed 's/^/encoder /'
  sha256sum build/bin/moecollab build/lib/libmoecollab_engine.so build/lib/moecollab/plugins/*/*.so | sed 's/^/program /'
  echo "options kinds=$kinds seeds=${SEEDS:-1} gate=${GATE:-factored} device=$device script=$(sha256sum tools/demo.sh | cut -c1-16)"
}

train_expert() {  # KIND DOMAIN SEED
  local name=$2-$1
  [ "$3" = 1 ] || name+=-$3
  [ -d "$out/registry/experts/$name" ] && [ ! -d "$out/registry/checkpoints/$name" ] && return
  # shellcheck disable=SC2046  # several words
  "$program" train-expert "$name" --kind "$1" --domain "$2" --seed "$3" $(options_for "$1" "$2") --data-dir "$data" \
    --registry "$out/registry" --encoder "$encoder" --device "$device" --cache-dir "$out/cache" \
    $([ -d "$out/registry/checkpoints/$name" ] && echo --resume)
}

baselines() {  # KIND…
  local kind options
  for kind in "$@"; do
    options=$([ -d "$out/registry/checkpoints/multi-task-$kind" ] && echo --resume || true)
    [ -z "$options" ] && { [ -e "$out/registry/baselines/$kind" ] || [ -e "$out/registry/baselines/$kind.toml" ]; } && continue
    # shellcheck disable=SC2086  # none or one word
    "$program" train-baseline "$kind" $options --data-dir "$data" --registry "$out/registry" --device "$device" --cache-dir "$out/cache"
  done
}

is_done() {
  [ ! -e "$out/inputs.begun" ] || return
  [ -e "$out/report.json" ] && [ -e "$out/registry/gate/gate.toml" ] || return
  cmp -s "$out/inputs" "$out/inputs.new" || return
  [ -z "${BASELINES:-}" ] || [ -d "$out/registry/baselines/deep" ]
}

mkdir -p "$out"
wanted="head ${BASELINES:+deep}"
inputs > "$out/inputs.new"
if is_done; then
  rm "$out/inputs.new"
  say "data, options and program are those of the last run: nothing to do again"
else
  if cmp -s "$out/inputs.begun" "$out/inputs.new"; then
    say "continuing the run that was interrupted"
  elif cmp -s "$out/inputs" "$out/inputs.new"; then
    say "experts and gate are those of the last run"
  else
    for last in "$out/inputs" "$out/inputs.begun"; do
      [ -e "$last" ] || continue
      changed=$({ diff "$last" "$out/inputs.new" || true; } | sed -n 's/^[<>] \([a-z]*\) .*/\1/p' | sort -u | tr '\n' ' ')
      say "changed since the last run: ${changed}- rebuilding $out"
      break
    done
    rm -rf "$out/registry" "$out/inputs" "$out"/report.* "$out/table.txt"
  fi
  mv "$out/inputs.new" "$out/inputs.begun"
  start=$SECONDS
  for domain in $domains; do
    for kind in $kinds; do
      for seed in $(seeds_of "$kind"); do train_expert "$kind" "$domain" "$seed"; done
    done
  done
  # shellcheck disable=SC2046  # no word or one
  "$program" train-gate $(gate_options) --data-dir "$data" --registry "$out/registry" --device "$device" --cache-dir "$out/cache"
  # shellcheck disable=SC2086  # several words
  baselines $wanted
  "$program" eval --data-dir "$data" --registry "$out/registry" --device "$device" --cache-dir "$out/cache" --quiet \
    --report "$out/report.json" --html "$out/report.html" --markdown "$out/report.md" > "$out/table.txt"
  mv "$out/inputs.begun" "$out/inputs"
  say "trained and evaluated in $((SECONDS - start)) s"
fi
cat "$out/table.txt"
say "report: $out/report.html (also report.json and report.md); registry: $out/registry"
say "try: echo 'the striker scored twice in the cup final' | $program predict --registry $out/registry -"
