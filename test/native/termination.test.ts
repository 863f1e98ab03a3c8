import t from 'tap'
import { runInShell } from '../command-line.js'
import { repositoryRoot } from '../shared-files.js'

t.test('workers that are terminated in the middle of calls do not end the process', async (t) => {
  const { code, stdout, stderr } = await runInShell('node dist/test/native/terminated-workers.js', { cwd: repositoryRoot })
  t.equal(code, 0, stderr)
  t.equal(stdout.trim(), 'all ended')
})
