import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type t from 'tap'
import { repositoryRoot } from '../shared-files.js'

/** An empty project that has the package of this repository installed. */
export function makeProject(t: Tap): string {
  const folder = mkdtempSync(join(tmpdir(), 'limo-readme-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'node_modules', '.bin'), { recursive: true })
  symlinkSync(repositoryRoot, join(folder, 'node_modules', 'limo-native'))
  const command = join(folder, 'node_modules', '.bin', 'limo-native')
  writeFileSync(
    command,
    `#!/bin/sh\nexec "${process.execPath}" "${join(repositoryRoot, 'dist', 'lib', 'cli', 'main.js')}" "$@"\n`,
  )
  chmodSync(command, 0o755)
  return folder
}
type Tap = Pick<typeof t, 'teardown'>
