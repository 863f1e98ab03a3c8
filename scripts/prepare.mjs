// npm's `prepare`: what a clone needs to run, after npm ci. Packing has `prepack`, which builds its own.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

if (process.env.npm_command !== 'pack' && process.env.npm_command !== 'publish') {
  if (!existsSync('node_modules/typescript') || !existsSync('node_modules/node-api-headers')) {
    console.error(
      'limo-native: expected the development dependencies, which build a clone, but they are not installed: npm ci --include=dev',
    )
    process.exit(1)
  }
  // The types first: the last line is then what the native build left out. LIMO_NATIVE_PREBUILD names a folder with an addon that is
  // built already.
  const native = process.env.LIMO_NATIVE_PREBUILD ? [] : [['run', '--silent', 'build:native', '--', '--describe']]
  for (const args of [['run', '--silent', 'build:types'], ...native]) {
    const { status } = spawnSync('npm', args, { stdio: 'inherit' })
    if (status !== 0) process.exit(status ?? 1)
  }
}
