// npm's `prepare`: what a clone needs to run, after npm ci. Packing has `prepack`, which builds its own.
import { spawnSync } from 'node:child_process'

if (process.env.npm_command !== 'pack' && process.env.npm_command !== 'publish') {
  // The types first: what the build left out is then the last line.
  for (const script of ['build:types', 'build:native']) {
    const { status } = spawnSync('npm', ['run', '--silent', script], { stdio: 'inherit' })
    if (status !== 0) process.exit(status ?? 1)
  }
}
