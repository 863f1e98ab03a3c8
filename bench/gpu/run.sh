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
export PATH=$PATH:/usr/local/cuda/bin

say() { echo "$*" | tee -a "$results/summary.txt"; }

# Everything together ends after so many seconds.
deadline=$((SECONDS + ${LIMO_DEADLINE:-1500}))

# Each part ends after so many, so that one which hangs leaves time for the others.
declare -A budget=([build]=300 [check]=420 [kernels]=500 [steps]=420 [profile]=300)
part_deadline=$deadline

# limited SECONDS LOG COMMAND…: into a log of its own, which is written as it goes, and never past the deadlines.
limited() {
  local seconds=$1 log=$results/$2 left=$(((part_deadline < deadline ? part_deadline : deadline) - SECONDS))
  shift 2
  [ "$left" -gt 5 ] || return 125
  timeout --kill-after=10 "$((seconds < left ? seconds : left))" "$@" >> "$log" 2>&1
}

outcome() { # of a status
  case $1 in
    0) echo "ok" ;;
    124 | 137) echo "ran out of time" ;;
    125) echo "skipped: its time is over" ;;
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

# cuda-emulated runs the same without a GPU, in a checkout: to see that this script works.
device=${LIMO_GPU_DEVICE:-cuda}
card=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1)
if [ -z "$card" ] && [ "$device" = cuda ]; then no_gpu="there is no NVIDIA GPU here (nvidia-smi finds none)"; else no_gpu=""; fi
name=$(echo "${card:-no-gpu}" | tr '[:upper:] ' '[:lower:]-' | tr -cd 'a-z0-9.-')
rows=$results/$name.jsonl
say "card: ${card:-none}"
# A whole run starts afresh; single parts add to what is there.
if [ "${parts[0]}" = build ]; then : > "$rows"; fi

unpacked() { # without xz, by Python
  xz -dc "$1" 2> /dev/null || python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$1"
}

build() {
  if [ "$root" = "$here/work" ]; then
    mkdir -p "$root"
    unpacked "$here/node.xz" > "$node" && chmod +x "$node" || return 1
    local archive
    for archive in sources node_modules; do unpacked "$here/$archive.tar.xz" | tar -C "$root" -x || return 1; done
    # The tests look for the golden models beside the checkout.
    if [ -f "$here/shared.tar.xz" ]; then unpacked "$here/shared.tar.xz" | tar -C "$here" -x || return 1; fi
    say "build: sources of commit $(cat "$here/commit")"
  fi
  command -v nvcc > /dev/null || say "build: there is no nvcc: without it there is no CUDA backend"
  (cd "$root" && limited 240 build.log "$node" native/build.cjs --define LIMO_CUDA_LINE_NUMBERS=ON --define "LIMO_CUDA=$([ "$device" = cuda ] && echo ON || echo AUTO)")
  local status=$?
  if [ $status -eq 0 ] && [ "$device" = cuda-emulated ]; then
    (cd "$root" && limited 240 build.log "$node" native/build.cjs --target emulator)
    status=$?
  fi
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
    (cd "$root" && LIMO_TEST=all LIMO_TEST_DEVICE=$device limited 120 "$log" "$node" "dist/test/$file.test.js")
    status=$?
    if [ $status -eq 0 ]; then passed=$((passed + 1)); else
      failed=$((failed + 1))
      say "check: $file $(outcome $status), see $log"
    fi
  done
  say "check: $passed test files passed, $failed failed"
  sanitize
}

# Our kernels alone: those of cuBLASLt are many. racecheck also reports that several warpgroups write the same zeros on purpose.
sanitize() {
  local sanitizer tool op
  sanitizer=$(command -v compute-sanitizer)
  if [ -z "$sanitizer" ]; then say "check: compute-sanitizer skipped: it is not here"; return; fi
  for tool in memcheck racecheck; do
    for op in attention linear_cross_entropy rms_norm; do
      (cd "$root" && limited 45 "sanitizer-$tool-$op.log" "$sanitizer" --tool $tool --kernel-name kns=limo --error-exitcode 9 --target-processes all \
        "$node" dist/lib/cli/main.js bench $op --small --device $device --dtype bf16 --json)
      say "check: $tool $op $(outcome $?): $(grep -h 'ERROR SUMMARY\|RACECHECK SUMMARY' "$results/sanitizer-$tool-$op.log" | tail -1)"
    done
  done
}

measure() { # SECONDS LOG WHAT…: our rows, with the commit
  local seconds=$1 log=$2
  shift 2
  : > "$results/$log"
  (cd "$root" && limited "$seconds" "$log" "$node" dist/lib/cli/main.js bench "$@" --device $device --dtype bf16 --json)
  local status=$?
  grep '^{' "$results/$log" | sed "s/^{/{\"commit\":\"$commit\",\"card\":\"$card\",/" >> "$rows"
  say "$log: $(outcome $status)"
}

pytorch() { # SECONDS LOG WHAT…
  local seconds=$1 log=$2
  shift 2
  if ! python3 -c 'import torch' 2> /dev/null; then say "$log: skipped: this python3 has no torch"; return; fi
  : > "$results/$log"
  limited "$seconds" "$log" python3 "$root/bench/gpu/pytorch.py" "$@"
  local status=$?
  grep '^{' "$results/$log" >> "$rows"
  say "$log: $(outcome $status)"
}

kernels() {
  measure 180 attention.log attention
  pytorch 90 pytorch-attention.log attention
  measure 150 memory-bound.log adamw rms_norm head_norm swiglu rope embedding add cast
  measure 150 products.log linear linear_cross_entropy
  pytorch 60 pytorch-products.log copy products
}

steps() {
  # The most memory that is in use while a step runs, every fifth of a second.
  local size
  for size in Q1.5 Q; do
    local before
    before=$(nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits 2> /dev/null | head -1)
    nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 200 > "$results/memory-$size.txt" 2> /dev/null &
    local watcher=$!
    measure 150 "step-$size.log" "$size"
    kill $watcher 2> /dev/null
    [ -s "$results/memory-$size.txt" ] && say "step $size: at most $(sort -n "$results/memory-$size.txt" | tail -1) MiB in use on the card, $before before it"
  done
  pytorch 200 pytorch-steps.log steps
}

# The operation whose benchmark runs a kernel.
op_of() {
  case $1 in
    attention_*) echo attention ;;
    softmax_rows_kernel | sum_losses_kernel | MoveRows | ClearRows) echo linear_cross_entropy ;;
    rms_norm_*) echo rms_norm ;;
    head_norm_*) echo head_norm ;;
    grad_norm_*) echo grad_norm ;;
    Update*) echo adamw ;;
    Swiglu*) echo swiglu ;;
    Rot*) echo rope ;;
    TakeRows | AddRowsOfIds) echo embedding ;;
    *) echo linear ;;
  esac
}

profile() {
  local ncu kernel
  ncu=$(command -v ncu || ls /opt/nvidia/nsight-compute/*/ncu 2> /dev/null | head -1)
  if [ -z "$ncu" ]; then say "profile: skipped: Nsight Compute (ncu) is not here"; return; fi
  : > "$results/profile-kernels.csv"
  # One metric that needs no second run of a kernel, for the kernels of a step or two.
  (cd "$root" && limited 150 profile-kernels.csv "$ncu" --csv --metrics gpu__time_duration.sum --clock-control none --cache-control none \
    -c 3000 --kill yes --target-processes all "$node" dist/lib/cli/main.js bench Q --device $device --dtype bf16 --json)
  say "profile: the kernels of a step $(outcome $?)"
  python3 "$root/bench/gpu/slowest_kernels.py" "$results/profile-kernels.csv" > "$results/kernels.txt" 2>> "$results/profile.log" || return
  tee -a "$results/summary.txt" < "$results/kernels.txt"
  # A benchmark of one operation has little memory, which the profiler saves and restores for each of its passes.
  for kernel in $(cut -d ' ' -f 1 "$results/kernels.txt" | head -3); do
    (cd "$root" && limited 60 "profile-$kernel.log" "$ncu" --set full --clock-control none -k "regex:$kernel" -c 2 --kill yes --target-processes all \
      "$node" dist/lib/cli/main.js bench "$(op_of "$kernel")" --device $device --dtype bf16 --json)
    say "profile: $kernel $(outcome $?)"
  done
}

# PyTorch brings a cuBLASLt along, wherever its Python is.
if [ -z "${LIMO_CUBLASLT:-}" ]; then
  LIMO_CUBLASLT=$(python3 -c 'import glob, nvidia; print(sorted(glob.glob(list(nvidia.__path__)[0] + "/*/lib/libcublasLt.so.1[23]"))[-1])' 2> /dev/null)
  if [ -n "$LIMO_CUBLASLT" ]; then export LIMO_CUBLASLT; else unset LIMO_CUBLASLT; fi
fi
commit=$(cat "$here/commit" 2> /dev/null || git -C "$root" rev-parse --short HEAD 2> /dev/null || echo unknown)
for part in "${parts[@]}"; do
  part_deadline=$((SECONDS + ${budget[$part]:-0}))
  case $part in
    build) build || { say "nothing else can run without the build"; exit 1; } ;;
    check | kernels | steps | profile)
      if [ -n "$no_gpu" ]; then say "$part: skipped: $no_gpu"; else $part; fi ;;
    *) echo "expected build, check, kernels, steps or profile but received \"$part\"" >&2; exit 2 ;;
  esac
done
say "results: $results"
