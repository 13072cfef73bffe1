#!/usr/bin/env bash
# demo.sh DATA OUT [KIND…]: from data to an evaluation: an expert of each kind (adapter and lexical) for
# each domain, the gate, the report. Equal data, options and program reuse what OUT holds, and continue
# an interrupted run; others rebuild it. BASELINES=1 also trains the deep multi-task model; SEEDS=3 trains
# each deep expert with the seeds 1 to 3, SEEDS=4-6 with those, and adds to a run that had fewer;
# DISTILL=1 also trains one expert of each domain from these, to take their place in OUT/distilled;
# FOLDS=5 gives deep experts that many folds; GATE=linear fits that kind of gate; DEVICE=cuda computes
# on a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 out=$2
shift 2
kinds=${*:-adapter lexical}
program=build/bin/moecollab
device=${DEVICE:-cpu}
encoder=${MOECOLLAB_ENCODER:-.deps/encoder/all-MiniLM-L6-v2}
say() { printf 'demo: %s\n' "$*" >&2; }

[[ ${SEEDS:-1} =~ ^(([0-9]+)-)?([0-9]+)$ ]] || { say "SEEDS is $SEEDS, expected a number (3: the seeds 1 to 3) or a range (4-6)"; exit 2; }
first_seed=$((10#${BASH_REMATCH[2]:-1})) last_seed=$((10#${BASH_REMATCH[3]}))
[ "$first_seed" -le "$last_seed" ] || { say "SEEDS is ${SEEDS}: there is no seed from $first_seed to $last_seed"; exit 2; }
[ -z "${DISTILL:-}" ] || [[ " $kinds " = *" deep-adapter "* ]] || { say "DISTILL: there is no deep expert to learn from among $kinds"; exit 2; }

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
# domains that `make table1` is about: emotion, sentiment and clauses gain from training all blocks, news
# and medical do not; three epochs leave emotion and news the lowest loss.
options_for() {  # KIND DOMAIN
  case $1-$2 in
    deep-adapter-general | deep-adapter-legal) echo --set depth=all --epochs 4 ;;
    deep-adapter-emotion) echo --set depth=all --epochs 3 ;;
    deep-adapter-news) echo --epochs 3 ;;
  esac
}

folds_of() {  # KIND
  case $1 in deep-adapter) echo "${FOLDS:+--folds $FOLDS}" ;; esac
}

name_of() {  # KIND DOMAIN SEED
  [ "$3" = 1 ] && echo "$2-$1" || echo "$2-$1-$3"
}

# KIND DOMAIN SEED of each expert, in the order of their training: only deep ones differ by their seed,
# and further seeds come last, so that a run with more of them adds to what is there.
experts() {
  local seed domain kind
  for seed in $(seq "$first_seed" "$last_seed"); do
    for domain in $domains; do
      for kind in $kinds; do
        if [ "$kind" = deep-adapter ]; then echo "$kind $domain $seed"; elif [ "$seed" = "$first_seed" ]; then echo "$kind $domain 1"; fi
      done
    done
  done
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
  echo "options kinds=$kinds seeds=$first_seed- folds=${FOLDS:-1} gate=${GATE:-factored} device=$device script=$(sha256sum tools/demo.sh | cut -c1-16)"
}

train_expert() {  # REGISTRY NAME KIND DOMAIN OPTION…
  local registry=$1 name=$2 kind=$3 domain=$4
  shift 4
  [ -d "$registry/experts/$name" ] && [ ! -d "$registry/checkpoints/$name" ] && return
  # shellcheck disable=SC2046  # several words
  "$program" train-expert "$name" --kind "$kind" --domain "$domain" "$@" $(options_for "$kind" "$domain") --data-dir "$data" \
    --registry "$registry" --encoder "$encoder" --device "$device" --cache-dir "$out/cache" \
    $([ -d "$registry/checkpoints/$name" ] && echo --resume)
}

fit_gate() {  # REGISTRY
  # shellcheck disable=SC2046  # no word or one
  "$program" train-gate $(gate_options) --data-dir "$data" --registry "$1" --device "$device" --cache-dir "$out/cache"
}

judge() {  # FOLDER
  "$program" eval --data-dir "$data" --registry "$1/registry" --device "$device" --cache-dir "$out/cache" --quiet \
    --report "$1/report.json" --html "$1/report.html" --markdown "$1/report.md" > "$1/table.new"
  mv "$1/table.new" "$1/table.txt"  # the last: what is there is whole
}

# In a copy of the registry, one expert of each domain learns from the deep ones and takes their place:
# an answer costs one of them.
distill() {
  local folder=$out/distilled domain seed teachers
  [ -e "$folder/table.txt" ] && return
  if [ ! -d "$folder/registry" ]; then
    rm -rf "$folder" && mkdir "$folder"
    cp -r "$out/registry" "$folder/registry.new"
    mv "$folder/registry.new" "$folder/registry"
  fi
  for domain in $domains; do
    teachers=$(for seed in $(seq "$first_seed" "$last_seed"); do name_of deep-adapter "$domain" "$seed"; done)
    train_expert "$folder/registry" "$domain-distilled" deep-adapter "$domain" --distill "$(paste -sd, <<< "$teachers")"
  done
  for domain in $domains; do
    for seed in $(seq "$first_seed" "$last_seed"); do
      "$program" experts disable "$(name_of deep-adapter "$domain" "$seed")" --registry "$folder/registry" --quiet
    done
  done
  fit_gate "$folder/registry"
  judge "$folder"
}

baselines() {  # KIND…
  local kind options
  for kind in "$@"; do
    options=$([ -d "$out/registry/checkpoints/multi-task-$kind" ] && echo --resume || true)
    [ -z "$options" ] && { [ -e "$out/registry/baselines/$kind" ] || [ -e "$out/registry/baselines/$kind.toml" ]; } && continue
    # As most of the deep experts that it is compared with are trained.
    [ "$kind" != deep ] || options+=" --set depth=all --epochs 4"
    # shellcheck disable=SC2086  # several words
    "$program" train-baseline "$kind" $options --data-dir "$data" --registry "$out/registry" --device "$device" --cache-dir "$out/cache"
  done
}

# Whether there is a deep expert of that seed.
has_seed() {  # SEED
  local domain
  for domain in $domains; do [ -d "$out/registry/experts/$(name_of deep-adapter "$domain" "$1")" ] && return; done
  return 1
}

is_done() {
  [ ! -e "$out/inputs.begun" ] || return
  [ -e "$out/report.json" ] && [ -e "$out/registry/gate/gate.toml" ] || return
  cmp -s "$out/inputs" "$out/inputs.new" || return
  has_seed $((last_seed + 1)) && return 1
  [[ " $kinds " != *" deep-adapter "* ]] || has_seed "$last_seed" || return
  [ -z "${BASELINES:-}" ] || [ -d "$out/registry/baselines/deep" ] || return
  [ -z "${DISTILL:-}" ] || [ -e "$out/distilled/table.txt" ]
}

mkdir -p "$out"
wanted="head ${BASELINES:+deep}"
inputs > "$out/inputs.new"
if is_done; then
  rm "$out/inputs.new"
  say "data, options and program are those of the last run: nothing to do again"
else
  rebuild=
  if has_seed $((last_seed + 1)); then
    say "$out has more seeds than $first_seed to $last_seed - rebuilding it"
    rebuild=1
  elif cmp -s "$out/inputs.begun" "$out/inputs.new"; then
    say "continuing the run that was interrupted"
  elif cmp -s "$out/inputs" "$out/inputs.new"; then
    say "what the last run trained is kept"
  else
    for last in "$out/inputs" "$out/inputs.begun"; do
      [ -e "$last" ] || continue
      changed=$({ diff "$last" "$out/inputs.new" || true; } | sed -n 's/^[<>] \([a-z]*\) .*/\1/p' | sort -u | tr '\n' ' ')
      say "changed since the last run: ${changed}- rebuilding $out"
      break
    done
    rebuild=1
  fi
  if [ -n "$rebuild" ]; then
    rm -rf "$out/registry" "$out/distilled" "$out/inputs" "$out"/report.* "$out/table.txt"
  fi
  mv "$out/inputs.new" "$out/inputs.begun"
  has_seed "$last_seed" || rm -rf "$out/distilled"
  start=$SECONDS
  while read -r kind domain seed; do
    # shellcheck disable=SC2046  # none or two words
    train_expert "$out/registry" "$(name_of "$kind" "$domain" "$seed")" "$kind" "$domain" --seed "$seed" $(folds_of "$kind") < /dev/null
  done <<< "$(experts)"
  fit_gate "$out/registry"
  # shellcheck disable=SC2086  # several words
  baselines $wanted
  judge "$out"
  [ -z "${DISTILL:-}" ] || distill
  mv "$out/inputs.begun" "$out/inputs"
  say "trained and evaluated in $((SECONDS - start)) s"
fi
cat "$out/table.txt"
[ -z "${DISTILL:-}" ] || { say "with one distilled expert per domain instead of its deep ones:"; cat "$out/distilled/table.txt"; }
say "report: $out/report.html (also report.json and report.md); registry: $out/registry"
say "try: echo 'the striker scored twice in the cup final' | $program predict --registry $out/registry -"
