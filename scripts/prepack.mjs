// npm's `prepack`: makes everything that the tarball holds and the repository does not, and refuses to go on where a part is missing.
//
// LIMO_PACK_BINARIES=FOLDER takes the binaries from there, as `npm run build:prebuilds` made them, here or on other machines.
// LIMO_PACK_WITHOUT="cuda linux-arm64" packs without those parts.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'

const parts = {
  'linux-x64': 'prebuilds/linux-x64/limo_native.glibc.node',
  cuda: 'prebuilds/linux-x64/liblimo_cuda.so',
  'linux-arm64': 'prebuilds/linux-arm64/limo_native.glibc.node',
  headers: 'prebuilds/include/napi.h',
}
const without = (process.env.LIMO_PACK_WITHOUT ?? '').split(/[\s,]+/).filter(Boolean)
for (const name of without)
  if (!(name in parts)) fail(`expected some of ${Object.keys(parts).join(', ')} in LIMO_PACK_WITHOUT but received "${name}"`)

const binaries = process.env.LIMO_PACK_BINARIES
if (!binaries) {
  rmSync('prebuilds', { recursive: true, force: true })
  run(process.execPath, ['scripts/build-prebuilds.mjs'])
} else if (!existsSync(binaries)) fail(`expected a folder of binaries in LIMO_PACK_BINARIES but there is no ${binaries}`)
else if (resolve(binaries) !== resolve('prebuilds')) {
  rmSync('prebuilds', { recursive: true, force: true })
  cpSync(resolve(binaries), 'prebuilds', { recursive: true })
}
for (const name of without) rmSync(parts[name], { force: true })

const missing = Object.keys(parts).filter((name) => !without.includes(name) && !existsSync(parts[name]))
if (missing.length > 0) {
  const why = missing.map((name) => `${name} (${parts[name]})`).join(', ')
  fail(
    `expected every part of the package but these are missing: ${why}.\nThe lines above say why. To pack without them: LIMO_PACK_WITHOUT="${missing.join(' ')}" npm pack`,
  )
}
if (process.platform === 'linux' && process.arch === 'x64' && !without.includes('linux-x64')) {
  const { known, built } = createRequire(import.meta.url)(resolve(parts['linux-x64'])).describeCpu()
  if (built.length < known.length)
    fail(`expected ${known.join(', ')} in ${parts['linux-x64']} but it has ${built.join(', ')}: LIMO_ISA=all builds all`)
}
const shipped = Object.values(parts).filter((path) => /\.(node|so)$/.test(path) && existsSync(path))
run(process.execPath, ['scripts/check-baseline.mjs', ...shipped])

rmSync('dist', { recursive: true, force: true })
run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.package.json'])
run(process.execPath, ['scripts/finish-types.mjs'])

function run(command, args) {
  // npm pack --json prints an object on the standard output.
  const { status } = spawnSync(command, args, { stdio: ['inherit', 2, 2] })
  if (status !== 0) process.exit(status ?? 1)
}

function fail(message) {
  console.error(`limo-native: ${message}`)
  process.exit(1)
}
