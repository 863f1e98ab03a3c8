#!/usr/bin/env bash
# Checks and measures the CUDA backend on this machine within ten minutes: bash run.sh OUT [build|smoke|attention|step|products|check|rest …]
# `sanitize` and `profile` are for a call of their own. Runs from a folder that pack.sh made, or in a checkout with its packages installed. See
# README.md beside it in the sources.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: bash run.sh OUT [build|smoke|attention|step|products|check|rest|sanitize|profile ...]}
shift
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(build smoke attention step products check rest)
mkdir -p "$out"
out=$(cd "$out" && pwd)
export PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}:/usr/local/cuda/bin:/usr/local/nvidia/bin

say() { echo "$*" | tee -a "$results/summary.txt"; }

bring_out() {
  cp "$results/summary.txt" "$rows" "$out/" 2> /dev/null
  tar -C "$(dirname "$results")" -czf "$out/.results.tgz" "$(basename "$results")" && mv "$out/.results.tgz" "$out/results.tgz"
}

# Everything together ends after so many seconds.
deadline=$((SECONDS + ${LIMO_DEADLINE:-560}))

# Each part ends after so many, so that one which hangs leaves time for the others.
declare -A budget=([build]=240 [smoke]=40 [attention]=90 [step]=150 [products]=120 [check]=150 [rest]=240 [sanitize]=300 [profile]=300)
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

# Logs are many; what is carried back are an archive of them, a summary and a table of results, which are written anew after each part.
results=$root/build/gpu-results
mkdir -p "$results"

# cuda-emulated runs the same at small sizes without a GPU: to see that this script works.
device=${LIMO_GPU_DEVICE:-cuda}
card=$(nvidia-smi --query-gpu=name --format=csv,noheader 2> /dev/null | head -1)
name=$(echo "${card:-$device}" | tr '[:upper:] ' '[:lower:]-' | tr -cd 'a-z0-9.-')
rows=$results/$name.jsonl
# A whole run starts afresh; single parts add to what is there.
if [ "${parts[0]}" = build ]; then rm -f "$results"/*; : > "$rows"; fi
say "card: ${card:-none that nvidia-smi finds}"
no_gpu=""

unpacked() { # without xz, by Python
  xz -dc "$1" 2> /dev/null || python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$1"
}

limo() { "$node" "$root/dist/lib/cli/main.js" "$@"; }

# Why parts cannot run, or nothing.
why_no_gpu() {
  [ "$device" = cuda ] || return 0
  local found
  found=$(limo doctor 2>&1)
  echo "$found" | grep -q '^cuda:[0-9].*opens' || echo "$found" | grep -m 1 '^cuda device\|^cuda:' || echo "$found" | grep -m 1 '^addon' || echo "doctor finds no CUDA device"
}

unpack() {
  mkdir -p "$root"
  unpacked "$here/node.xz" > "$node" && chmod +x "$node" || return 1
  local archive
  for archive in sources node_modules; do unpacked "$here/$archive.tar.xz" | tar -C "$root" -x || return 1; done
  # The tests look for the golden models beside the checkout.
  if [ -f "$here/shared.tar.xz" ]; then unpacked "$here/shared.tar.xz" | tar -C "$here" -x || return 1; fi
  if [ -f "$here/binaries.tar.xz" ]; then unpacked "$here/binaries.tar.xz" | tar -C "$root" -x || return 1; fi
}

# Binaries that were packed are used where they load; else they are built here.
build() {
  if [ "$root" = "$here/work" ]; then
    unpack || { say "build: the pack does not unpack"; return 1; }
    say "build: sources of commit $(cat "$here/commit")"
  fi
  if limo doctor > "$results/doctor.txt" 2>&1 && { [ "$device" = cuda-emulated ] || grep -q '^cuda backend *loads' "$results/doctor.txt"; }; then
    say "build: the binaries at hand load"
  else
    command -v nvcc > /dev/null || say "build: there is no nvcc: without it there is no CUDA backend"
    (cd "$root" && limited 240 build.log "$node" native/build.cjs --define LIMO_CUDA_LINE_NUMBERS=ON --define "LIMO_CUDA=$([ "$device" = cuda ] && echo ON || echo AUTO)")
    local status=$?
    say "build: $(outcome $status)"
    [ $status -eq 0 ] || return $status
    limo doctor > "$results/doctor.txt" 2>&1
  fi
  if [ "$device" = cuda-emulated ] && [ ! -f "$root/build/Release/liblimo_cuda_emulated.so" ]; then
    (cd "$root" && limited 240 build.log "$node" native/build.cjs --target emulator) || { say "build: the emulator does not build, see build.log"; return 1; }
  fi
  tee -a "$results/summary.txt" < "$results/doctor.txt"
}

# Every operation once, held against double, at sizes that take no time.
smoke() { measure 40 smoke.log --small; }

# Every operation against its reference, whole steps against the golden models; products and attention first.
check() {
  local file status log passed=0 failed=0
  for file in ops/{attention,linear,linear-cross-entropy} lib/train/{golden,golden-bf16} native/cuda-device \
    ops/{adamw,elementwise,embedding,head-norm,rms-norm,rope,swiglu,attention-decode,linear-decode,sample} lib/train/{golden-bf16-training,stories260k}; do
    log=check-$(basename $file).log
    (cd "$root" && TAP_TIMEOUT=60 LIMO_TEST=all LIMO_TEST_DEVICE=$device limited 60 "$log" "$node" "dist/test/$file.test.js")
    status=$?
    if [ $status -eq 0 ]; then passed=$((passed + 1)); else
      failed=$((failed + 1))
      say "check: $file $(outcome $status), see $log"
    fi
  done
  say "check: $passed test files passed, $failed failed"
}

# Our kernels alone: those of cuBLASLt are many. racecheck also reports that several warpgroups write the same zeros on purpose.
sanitize() {
  local sanitizer tool op
  sanitizer=$(command -v compute-sanitizer)
  if [ -z "$sanitizer" ]; then say "sanitize: skipped: compute-sanitizer is not here"; return; fi
  for tool in memcheck racecheck; do
    for op in attention linear_cross_entropy rms_norm; do
      (cd "$root" && limited 45 "sanitizer-$tool-$op.log" "$sanitizer" --tool $tool --kernel-name kns=limo --error-exitcode 9 --target-processes all \
        "$node" dist/lib/cli/main.js bench $op --small --device $device --dtype bf16 --json)
      say "sanitize: $tool $op $(outcome $?): $(grep -h 'ERROR SUMMARY\|RACECHECK SUMMARY' "$results/sanitizer-$tool-$op.log" | tail -1)"
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
  if [ "$device" != cuda ]; then say "$log: skipped: PyTorch runs on a card alone"; return; fi
  : > "$results/$log"
  limited "$seconds" "$log" python3 "$root/bench/gpu/pytorch.py" "$@"
  local status=$?
  grep '^{' "$results/$log" >> "$rows"
  if grep -q "No module named 'torch'\|python3: No such file" "$results/$log"; then say "$log: skipped: this python3 has no torch"; else say "$log: $(outcome $status)"; fi
}

attention() {
  measure 60 attention.log attention
  pytorch 60 pytorch-attention.log attention
}

# The most memory that is in use while a step runs, every fifth of a second.
step_of() { # SECONDS SIZE
  local before watcher
  before=$(nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits 2> /dev/null | head -1)
  nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 200 > "$results/memory-$2.txt" 2> /dev/null &
  watcher=$!
  measure "$1" "step-$2.log" "$2"
  kill $watcher 2> /dev/null
  [ -s "$results/memory-$2.txt" ] && say "step $2: at most $(sort -n "$results/memory-$2.txt" | tail -1) MiB in use on the card, $before before it"
}

step() {
  step_of 90 "$([ "$device" = cuda ] && echo Q1.5 || echo tiny)"
  pytorch 90 pytorch-step.log step:Q1.5
}

products() {
  measure 70 products.log linear linear_cross_entropy
  measure 60 memory-bound.log adamw rms_norm head_norm swiglu rope embedding add cast
  pytorch 30 pytorch-products.log copy products
}

rest() {
  [ "$device" = cuda ] && step_of 60 Q
  pytorch 120 pytorch-rest.log step:Q step:Q:recompute step:Q1.5:recompute
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
    -c 3000 --kill yes --target-processes all --kernel-name-base demangled "$node" dist/lib/cli/main.js bench Q --device $device --dtype bf16 --json)
  say "profile: the kernels of a step $(outcome $?)"
  python3 "$root/bench/gpu/slowest_kernels.py" "$results/profile-kernels.csv" > "$results/kernels.txt" 2>> "$results/profile.log" || return
  tee -a "$results/summary.txt" < "$results/kernels.txt"
  # A benchmark of one operation has little memory, which the profiler saves and restores for each of its passes.
  for kernel in $(cut -d ' ' -f 1 "$results/kernels.txt" | head -3); do
    (cd "$root" && limited 60 "profile-$kernel.log" "$ncu" --set full --clock-control none --kernel-name-base demangled -k "regex:$kernel" -c 2 --kill yes --target-processes all \
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
  case $part in
    build | smoke | attention | step | products | check | rest | sanitize | profile) ;;
    *) echo "expected build, smoke, attention, step, products, check, rest, sanitize or profile but received \"$part\"" >&2; exit 2 ;;
  esac
done
[ "${parts[0]}" = build ] || no_gpu=$(why_no_gpu)
for part in "${parts[@]}"; do
  part_deadline=$((SECONDS + ${budget[$part]}))
  started=$SECONDS
  if [ "$part" = build ]; then
    if ! build; then
      say "nothing else can run without the build"
      bring_out
      exit 1
    fi
    no_gpu=$(why_no_gpu)
  elif [ -n "$no_gpu" ]; then
    say "$part: skipped: $no_gpu"
    continue
  else $part; fi
  say "$part: took $((SECONDS - started)) s"
  bring_out
done
say "results: $out"
bring_out
