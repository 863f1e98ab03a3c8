#!/usr/bin/env bash
# Checks and measures the CUDA backend on this machine: bash run.sh RESULTS [build|check|kernels|steps|profile …]
# Runs from a folder that pack.sh made, or in a checkout with its packages installed. See README.md beside it in the sources.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
results=${1:?usage: bash run.sh RESULTS [build|check|kernels|steps|profile ...]}
shift
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(build check kernels steps profile)
mkdir -p "$results"
results=$(cd "$results" && pwd)
: > "$results/summary.txt"

say() { echo "$*" | tee -a "$results/summary.txt"; }

# limited SECONDS LOG COMMAND…: into a log of its own, which is written as it goes.
limited() {
  local seconds=$1 log=$results/$2
  shift 2
  timeout --kill-after=10 "$seconds" "$@" >> "$log" 2>&1
}

outcome() { # of a status
  case $1 in
    0) echo "ok" ;;
    124 | 137) echo "ran out of time" ;;
    *) echo "failed ($1)" ;;
  esac
}

if [ -f "$here/sources.tar.xz" ]; then
  root=$here/work
  node=$root/node
else
  root=$(cd "$here/../.." && pwd)
  node=$(command -v node || true)
fi

card=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1)
if [ -z "$card" ]; then no_gpu="there is no NVIDIA GPU here (nvidia-smi finds none)"; else no_gpu=""; fi
name=$(echo "${card:-no-gpu}" | tr '[:upper:] ' '[:lower:]-' | tr -cd 'a-z0-9.-')
rows=$results/$name.jsonl
say "card: ${card:-none}"
# A whole run starts afresh; single parts add to what is there.
if [ "${parts[0]}" = build ]; then : > "$rows"; fi

build() {
  if [ "$root" = "$here/work" ]; then
    mkdir -p "$root"
    xz -dc "$here/node.xz" > "$node" && chmod +x "$node" || return 1
    for archive in sources node_modules; do tar -C "$root" -xJf "$here/$archive.tar.xz" || return 1; done
    # The tests look for the golden models beside the checkout.
    if [ -f "$here/shared.tar.xz" ]; then tar -C "$here" -xJf "$here/shared.tar.xz" || return 1; fi
    say "build: sources of commit $(cat "$here/commit")"
  fi
  command -v nvcc > /dev/null || say "build: there is no nvcc: without it there is no CUDA backend"
  (cd "$root" && PATH=$(dirname "$node"):$PATH limited 240 build.log "$node" node_modules/cmake-js/bin/cmake-js build --out build/cmake)
  local status=$?
  say "build: $(outcome $status)"
  [ $status -eq 0 ] && (cd "$root" && "$node" dist/lib/cli/main.js doctor | tee -a "$results/summary.txt")
  return $status
}

# Every operation against its reference, whole steps against the golden models, then the sanitizer.
check() {
  local file status log passed=0 failed=0
  for file in ops/{adamw,attention,elementwise,embedding,head-norm,linear,linear-cross-entropy,rms-norm,rope,swiglu} \
    native/cuda-device lib/train/{golden,golden-bf16,golden-bf16-training,stories260k}; do
    log=check-$(basename $file).log
    (cd "$root" && LIMO_TEST_DEVICE=cuda limited 120 "$log" "$node" "dist/test/$file.test.js")
    status=$?
    if [ $status -eq 0 ]; then passed=$((passed + 1)); else
      failed=$((failed + 1))
      say "check: $file $(outcome $status), see $log"
    fi
  done
  say "check: $passed test files passed, $failed failed"
  local sanitizer
  sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
  if [ -z "$sanitizer" ]; then say "check: compute-sanitizer skipped: it is not here"; return; fi
  for tool in memcheck racecheck; do
    for op in attention rms_norm linear_cross_entropy adamw embedding; do
      (cd "$root" && limited 60 "sanitizer-$tool.log" "$sanitizer" --tool $tool --error-exitcode 9 --target-processes all \
        "$node" dist/lib/cli/main.js bench $op --small --device cuda --dtype bf16 --json)
      say "check: $tool $op $(outcome $?)"
    done
  done
}

measure() { # SECONDS LOG WHAT…: our rows, with the commit
  local seconds=$1 log=$2
  shift 2
  (cd "$root" && limited "$seconds" "$log" "$node" dist/lib/cli/main.js bench "$@" --device cuda --dtype bf16 --json)
  local status=$?
  grep '^{' "$results/$log" | sed "s/^{/{\"commit\":\"$commit\",\"card\":\"$card\",/" >> "$rows"
  say "$log: $(outcome $status)"
}

pytorch() { # SECONDS LOG WHAT…
  local seconds=$1 log=$2
  shift 2
  if ! python3 -c 'import torch' 2> /dev/null; then say "$log: skipped: this python3 has no torch"; return; fi
  limited "$seconds" "$log" python3 "$root/bench/gpu/pytorch.py" "$@"
  local status=$?
  grep '^{' "$results/$log" >> "$rows"
  say "$log: $(outcome $status)"
}

kernels() {
  measure 180 attention.log attention
  pytorch 90 pytorch-attention.log attention
  measure 150 memory-bound.log adamw grad_norm rms_norm head_norm swiglu rope embedding add cast
  measure 150 products.log linear linear_cross_entropy
  pytorch 60 pytorch-products.log copy products
}

steps() {
  # The most memory that is in use while a step runs, every fifth of a second.
  local size
  for size in Q1.5 Q; do
    nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 200 > "$results/memory-$size.txt" 2> /dev/null &
    local watcher=$!
    measure 150 "step-$size.log" "$size"
    kill $watcher 2> /dev/null
    say "step $size: at most $(sort -n "$results/memory-$size.txt" | tail -1) MiB in use on the card"
  done
  pytorch 200 pytorch-steps.log steps
}

profile() {
  local ncu
  ncu=$(command -v ncu || ls /usr/local/cuda/bin/ncu /opt/nvidia/nsight-compute/*/ncu 2> /dev/null | head -1)
  if [ -z "$ncu" ]; then say "profile: skipped: Nsight Compute (ncu) is not here"; return; fi
  # One metric that needs no second run of a kernel, for every kernel of a few steps.
  (cd "$root" && limited 200 profile-kernels.csv "$ncu" --csv --metrics gpu__time_duration.sum --clock-control none --target-processes all \
    "$node" dist/lib/cli/main.js bench Q --device cuda --dtype bf16 --json)
  say "profile: $(outcome $?)"
  python3 "$root/bench/gpu/slowest_kernels.py" "$results/profile-kernels.csv" > "$results/kernels.txt" 2>> "$results/profile.log" || return
  tee -a "$results/summary.txt" < "$results/kernels.txt"
  local kernel
  for kernel in $(sed -n 's/^\([a-z0-9_]*_kernel\) .*/\1/p' "$results/kernels.txt" | head -3); do
    (cd "$root" && limited 90 "profile-$kernel.log" "$ncu" --set full --clock-control none --target-processes all -k "regex:$kernel" -c 1 \
      "$node" dist/lib/cli/main.js bench Q --device cuda --dtype bf16 --json)
    say "profile: $kernel $(outcome $?)"
  done
}

commit=$(cat "$here/commit" 2> /dev/null || git -C "$root" rev-parse --short HEAD 2> /dev/null || echo unknown)
for part in "${parts[@]}"; do
  case $part in
    build) build || { say "nothing else can run without the build"; exit 1; } ;;
    check | kernels | steps | profile)
      if [ -n "$no_gpu" ]; then say "$part: skipped: $no_gpu"; else $part; fi ;;
    *) echo "expected build, check, kernels, steps or profile but received \"$part\"" >&2; exit 2 ;;
  esac
done
say "results: $results"
