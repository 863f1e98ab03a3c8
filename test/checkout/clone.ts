import { runInShell } from '../command-line.js'
import { repositoryRoot } from '../shared-files.js'

/** Why there can be no clone, where that is so: an unpacked archive is no checkout. */
export async function whyNoClone(): Promise<string | false> {
  const { code } = await runInShell('git rev-parse --verify HEAD', { cwd: repositoryRoot })
  return code === 0 ? false : 'not a git checkout'
}

/** A fresh clone in an empty folder, with the changes and the new files of the working tree. */
export async function cloneInto(folder: string): Promise<void> {
  const line = `git clone -q . "${folder}" && git ls-files -z --deleted | (cd "${folder}" && xargs -0 -r rm -f) &&
    git ls-files -z --modified --others --exclude-standard | tar -c --null --ignore-failed-read -T - | tar -x -C "${folder}"`
  const { code, stderr } = await runInShell(`set -o pipefail; ${line}`, { cwd: repositoryRoot })
  if (code !== 0) throw new Error(`no clone: ${stderr}`)
}
