#!/usr/bin/env bash
# bench.sh: what the program costs, as ratios if there is something to compare with.
# `make bench-peers` compares encoding with other runtimes.
set -euo pipefail
cd "$(dirname "$0")/.."
program=build/bin/moecollab
registry=build/demo/registry
[ -e "$registry/gate/gate.toml" ] || tools/demo.sh samples/data build/demo > /dev/null
best_ms() {  # the least of 10 wall times of a command, in milliseconds
  local best=1000000 start took
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    start=$(date +%s%N); "$@" > /dev/null 2>&1 || true; took=$((($(date +%s%N) - start) / 1000))
    [ "$took" -ge "$best" ] || best=$took
  done
  awk -v us="$best" 'BEGIN{printf "%.1f ms", us / 1000}'
}
echo "start-up: --help $(best_ms $program --help); mistyped verb $(best_ms $program evla); with the engine (doctor) $(best_ms $program doctor --registry $registry)"
echo "eval, everything cached (samples): $(best_ms $program eval --data-dir samples/data --registry $registry --cache-dir build/demo/cache --quiet)"
$program bench --registry $registry
cmake --preset release -DMOECOLLAB_BENCH=ON > /dev/null
cmake --build --preset release -j "$(nproc)" --target bench_stages bench_boundary bench_answer bench_pool bench_isolation bench_reader bench_tokenizer > /dev/null
OMP_WAIT_POLICY=passive build/bin/bench_stages --benchmark_min_time=0.5 --benchmark_format=csv 2> /dev/null | tr -d '"' | awk -F, '
  $1 ~ /linear|product|forward|tokenize/ { time[$1] = $3; unit[$1] = $5; printf "%-24s %10.1f %s %s\n", $1, $3, $5, ($6 != "" ? sprintf("(%.1f MB/s)", $6 / 1e6) : "") }
  END { printf "tiled product: %.2f x plain in fp32, %.2f x in bf16, %.2f x plain bf16 in int8; packed forward: %.2f x padded\n", time["plain_linear/fp32"] / time["tiled_product/fp32"], time["plain_linear/bf16"] / time["tiled_product/bf16"], time["plain_linear/bf16"] / time["tiled_product/int8"], time["forward/padded"] / time["forward/packed"] }'
OMP_WAIT_POLICY=passive build/bin/bench_boundary --benchmark_min_time=0.5 --benchmark_format=csv 2> /dev/null | tr -d '"' | awk -F, '
  $1 ~ /^(directly|through_the_host)/ { split($1, name, "/"); time[name[1], name[2]] = $3; kind[name[2]] }
  END { for (k in kind) printf "boundary at batch 1, %-6s %6.2f us through the host, %6.2f us called directly: %+.2f us\n", k, time["through_the_host", k] / 1000, time["directly", k] / 1000, (time["through_the_host", k] - time["directly", k]) / 1000 }'
texts=$(mktemp)
cat samples/data/*/dev.jsonl | sed 's/.*"text": "\(.*\)", "label.*/\1/' > "$texts"
OMP_WAIT_POLICY=passive build/bin/bench_answer $registry "$texts"
rm "$texts"
OMP_WAIT_POLICY=passive build/bin/bench_isolation .deps/encoder/all-MiniLM-L6-v2
python3 tests/bench/isolation.py --registry $registry
python3 tests/bench/reader.py
python3 tests/bench/tokenizer.py
python3 tests/bench/predict.py --registry $registry
python3 tests/bench/pool_size.py --registry $registry
