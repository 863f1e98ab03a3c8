import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { runInShell } from '../command-line.js'
import { repositoryRoot } from '../shared-files.js'

t.test('a package without a built addon says what to do', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'limo-unbuilt-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  cpSync(join(repositoryRoot, 'dist', 'lib'), join(folder, 'dist', 'lib'), { recursive: true })
  cpSync(join(repositoryRoot, 'package.json'), join(folder, 'package.json'))
  symlinkSync(join(repositoryRoot, 'node_modules'), join(folder, 'node_modules'))

  const doctor = await runInShell('node dist/lib/cli/main.js doctor', { cwd: folder })
  t.equal(doctor.code, 1)
  t.match(doctor.stdout, /expected a native addon for linux-\w+ in .* but it has no binaries\. .*npx limo-native build/)

  const program = "import('./dist/lib/index.js').then((limo) => limo.openDevice()).catch((error) => console.log(error.code))"
  const { stdout } = await runInShell(`node -e "${program}"`, { cwd: folder })
  t.equal(stdout.trim(), 'ADDON_UNAVAILABLE')
})
