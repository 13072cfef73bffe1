#!/usr/bin/env bash
# demo.sh DATA OUT: from data to an evaluation: an adapter and a lexical expert for each domain, the
# gate, the report. Equal data, options and program reuse what OUT holds; others rebuild it.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 out=$2
program=build/bin/moecollab
encoder=${MOECOLLAB_ENCODER:-.deps/encoder/all-MiniLM-L6-v2}
kinds="adapter lexical"
say() { printf 'demo: %s\n' "$*" >&2; }

[ -d "$data" ] || { say "there is no data folder $data; it holds <domain>/train.jsonl and <domain>/dev.jsonl"; exit 3; }
domains=$(cd "$data" && for d in */; do [ -e "$d/train.jsonl" ] && echo "${d%/}"; done)
[ -n "$domains" ] || { say "$data has no <domain>/train.jsonl"; exit 3; }

# What the result depends on, a line each, so that a change can be named.
inputs() {
  (cd "$data" && sha256sum -- */*.jsonl | sed 's/^/data /')
  sha256sum "$encoder/model.safetensors" "$encoder/vocab.txt" | sed 's/^/encoder /'
  sha256sum build/bin/moecollab build/lib/libmoecollab_engine.so build/lib/moecollab/plugins/*/*.so | sed 's/^/program /'
  echo "options kinds=$kinds"
}

mkdir -p "$out"
inputs > "$out/inputs.new"
if [ -e "$out/report.json" ] && cmp -s "$out/inputs" "$out/inputs.new"; then
  rm "$out/inputs.new"
  say "data, options and program are those of the last run: nothing to do again"
else
  if [ -e "$out/inputs" ]; then
    changed=$({ diff "$out/inputs" "$out/inputs.new" || true; } | sed -n 's/^[<>] \([a-z]*\) .*/\1/p' | sort -u | tr '\n' ' ')
    say "changed since the last run: ${changed:-nothing but it did not finish}- rebuilding $out"
  fi
  rm -rf "$out/registry" "$out/inputs" "$out"/report.* "$out/table.txt"
  start=$SECONDS
  for domain in $domains; do
    for kind in $kinds; do
      "$program" train-expert "$domain-$kind" --kind "$kind" --domain "$domain" --data-dir "$data" \
        --registry "$out/registry" --encoder "$encoder" --cache-dir "$out/cache"
    done
  done
  "$program" train-gate --data-dir "$data" --registry "$out/registry" --cache-dir "$out/cache"
  "$program" eval --data-dir "$data" --registry "$out/registry" --cache-dir "$out/cache" --quiet \
    --report "$out/report.json" --html "$out/report.html" --markdown "$out/report.md" > "$out/table.txt"
  mv "$out/inputs.new" "$out/inputs"
  say "trained and evaluated in $((SECONDS - start)) s"
fi
cat "$out/table.txt"
say "report: $out/report.html (also report.json and report.md); registry: $out/registry"
say "try: echo 'the referee waved play on' | $program predict --registry $out/registry -"
