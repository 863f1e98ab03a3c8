import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { makeFolder, publishFolder, removeStaleTemporaries } from '../../../lib/checkpoint/atomic-folder.js'
import { temporaryName, thisHost, writeFileAtomically } from '../../../lib/checkpoint/durable-file.js'

const bytes = (text: string) => Buffer.from(text)
/** Above the largest process id of Linux and macOS. */
const deadPid = 2 ** 22 + 1

t.test('a folder appears whole, with a manifest of its files', async (t) => {
  const folder = t.testdir({ source: 'copied' })
  const target = join(folder, 'out')
  await publishFolder(
    target,
    async (writer) => {
      t.notOk(existsSync(target), 'nothing shows before the end')
      t.ok(existsSync(temporaryName(join(folder, 'out'))))
      await writer.writeText('a/b.txt', 'hello')
      await writer.copyFile('c', join(folder, 'source'))
    },
    { manifest: true },
  )
  t.same(readdirSync(target).sort(), ['a', 'c', 'manifest.json'])
  t.same(JSON.parse(readFileSync(join(target, 'manifest.json'), 'utf8')), {
    files: {
      'a/b.txt': { bytes: 5, sha256: '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824' },
      c: { bytes: 6, sha256: 'fb30593ca32df57a8a0f19d551710dc880a98b208b6e180b07e6aff59102d148' },
    },
  })
  await publishFolder(target, (writer) => writer.writeText('new', ''))
  t.same(readdirSync(target), ['new'], 'a folder of that name is replaced')
  t.same(readdirSync(folder).sort(), ['out', 'source'])
})

t.test('what fails leaves nothing behind', async (t) => {
  const folder = t.testdir({ out: { a: 'before' } })
  const target = join(folder, 'out')
  const fill = async (error: unknown) =>
    publishFolder(target, async (writer) => {
      await writer.writeText('a', 'after')
      throw error
    })
  await t.rejects(fill(new RangeError('of the caller')), new RangeError('of the caller'), 'other errors come as they are')
  for (const [code, message] of Object.entries({
    ENOSPC: /disk is full/,
    EDQUOT: /quota/,
    EACCES: /no permission/,
    EROFS: /read-only/,
    EIO: /what was there before is intact/,
  })) {
    const error = Object.assign(new Error(code), { code, errno: -1 })
    await t.rejects(fill(error), { name: 'CheckpointError', code: 'WRITE_FAILED', message, details: { reason: code } }, code)
  }
  t.equal(readFileSync(join(target, 'a'), 'utf8'), 'before')
  await t.rejects(
    publishFolder(target, (writer) => writer.copyFile('x', join(folder, 'absent'))),
    { code: 'IO_FAILED', message: /cannot read .*absent/ },
    'a source that cannot be read is not called a failed write',
  )
  t.same(readdirSync(folder), ['out'])
  await t.rejects(
    publishFolder(join(target, 'a', 'b'), async () => {}),
    { code: 'WRITE_FAILED', message: /not a folder/ },
  )
})

t.test(
  'folders are made durable in their parents',
  { skip: process.platform !== 'linux' && 'only Linux tells the path of an open file' },
  async (t) => {
    const folder = t.testdir()
    const handle = await open(folder)
    const prototype = Object.getPrototypeOf(handle) as FileHandle
    await handle.close()
    const { sync } = prototype
    const synced: string[] = []
    prototype.sync = async function (this: FileHandle) {
      synced.push(readlinkSync(`/proc/self/fd/${this.fd}`))
      return sync.call(this)
    }
    t.teardown(() => {
      prototype.sync = sync
    })
    await makeFolder(join(folder, 'a', 'b'))
    t.same(synced, [folder, join(folder, 'a')])
    await makeFolder(join(folder, 'a', 'b'))
    t.equal(synced.length, 2, 'what was there is durable already')
  },
)

t.test('a file in the place of a folder', async (t) => {
  const folder = t.testdir({ taken: '' })
  await t.rejects(makeFolder(join(folder, 'taken')), { code: 'WRITE_FAILED', message: /a file has that name already/ })
})

t.test('the same name cannot be written twice at once', async (t) => {
  const target = join(t.testdir(), 'out')
  await publishFolder(target, async (writer) => {
    await t.rejects(
      publishFolder(target, async () => {}),
      { code: 'WRITE_FAILED', message: /already/ },
    )
    await removeStaleTemporaries(t.testdirName)
    await writer.writeText('a', 'still there')
  })
  t.equal(readFileSync(join(target, 'a'), 'utf8'), 'still there')
})

t.test('what dead runs left is tidied', async (t) => {
  const left = { [`.checkpoint-2.tmp-${deadPid}`]: { a: '' }, [`.model.safetensors.tmp-${deadPid}`]: '' }
  const folder = t.testdir({
    ...left,
    [`.checkpoint-3.tmp-${process.pid}`]: {}, // of an earlier process with this number, as in a container
    [`.checkpoint-4.tmp-${process.ppid}`]: {},
    [`.checkpoint-5.old-${deadPid}`]: { a: 'moved aside, and the new one never came' },
    [`.checkpoint-6.old-${deadPid}`]: { a: 'old' },
    'checkpoint-6': { a: 'new' },
    '.hidden': '',
    'notes.tmp-1': '',
  })
  await removeStaleTemporaries(folder)
  const rest = ['.hidden', `.checkpoint-4.tmp-${process.ppid}`, 'checkpoint-5', 'checkpoint-6', 'notes.tmp-1']
  t.same(readdirSync(folder).sort(), rest.sort())
  t.equal(readFileSync(join(folder, 'checkpoint-6', 'a'), 'utf8'), 'new')
  await removeStaleTemporaries(join(folder, 'absent'))
})

t.test('a file is replaced as one', async (t) => {
  const folder = t.testdir({ file: 'before' })
  const path = join(folder, 'file')
  const produce = async (sink: (chunk: Uint8Array) => Promise<void>) => {
    await sink(bytes('after'))
    t.equal(readFileSync(path, 'utf8'), 'before')
  }
  t.match(await writeFileAtomically(path, produce), { bytes: 5, sha256: /^[0-9a-f]{64}$/ })
  t.equal(readFileSync(path, 'utf8'), 'after')
  mkdirSync(join(folder, 'taken', 'x'), { recursive: true })
  await t.rejects(
    writeFileAtomically(join(folder, 'taken'), async () => {}),
    { code: 'WRITE_FAILED' },
  )
  writeFileSync(join(folder, `.file.tmp-${process.pid}-${thisHost}`), 'torn')
  await writeFileAtomically(path, (sink) => sink(bytes('again')))
  t.equal(readFileSync(path, 'utf8'), 'again', 'a torn file of a dead run is no obstacle')
  t.same(readdirSync(folder).sort(), ['file', 'taken'])
})

t.test(
  'a folder that a file system denies with ENOENT',
  { skip: process.platform !== 'linux' && 'only Linux has /proc' },
  async (t) => {
    // Node's own recursive mkdir never returned here.
    await t.rejects(makeFolder('/proc/no-such-folder/inside'), { code: 'WRITE_FAILED' })
  },
)

t.test('what another host writes stays, unless it has been left alone for long', async (t) => {
  const folder = t.testdir({
    '.checkpoint-1.tmp-1-elsewhere': { a: 'being written' },
    '.checkpoint-2.tmp-1-elsewhere': { a: 'left' },
    [`.checkpoint-3.tmp-${process.pid}-elsewhere`]: { a: 'being written by a process of this number' },
    '.checkpoint-4.old-1-elsewhere': { a: 'moved aside, and the new one never came' },
  })
  const before = new Date(Date.now() - 7_200_000)
  for (const name of ['.checkpoint-2.tmp-1-elsewhere', '.checkpoint-4.old-1-elsewhere'])
    for (const path of [join(folder, name, 'a'), join(folder, name)]) utimesSync(path, before, before)
  await removeStaleTemporaries(folder)
  t.same(readdirSync(folder).sort(), [
    '.checkpoint-1.tmp-1-elsewhere',
    `.checkpoint-3.tmp-${process.pid}-elsewhere`,
    'checkpoint-4',
  ])
})
