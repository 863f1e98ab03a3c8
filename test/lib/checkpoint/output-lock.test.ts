import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { lockOutput } from '../../../lib/checkpoint/output-lock.js'

const busy = { code: 'OUTPUT_EXISTS' }

/** A folder with a lock of someone, last renewed so many seconds ago. */
function lockedBy(t: Test, text: string, ageSeconds = 0) {
  const folder = t.testdir()
  const path = join(folder, '.limo-train.lock')
  writeFileSync(path, text)
  const time = Date.now() / 1000 - ageSeconds
  utimesSync(path, time, time)
  return { folder, path }
}

const holder = (host: string, process: number, started: string) => JSON.stringify({ host, process, started })
const startOf = (pid: number | string) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[19]!

t.test('one at a time', async (t) => {
  const folder = t.testdir()
  const unlock = await lockOutput(folder, 'train')
  await t.rejects(lockOutput(folder, 'train'), { ...busy, message: new RegExp(`process ${process.pid} on ${hostname()} does`) })
  await (await lockOutput(folder, 'eval'))()
  await unlock()
  t.notOk(existsSync(join(folder, '.limo-train.lock')))
  await (await lockOutput(folder, 'train'))()
})

t.test('a process of this host', { skip: !existsSync('/proc/self/stat') && 'there is no /proc' }, async (t) => {
  const dead = spawnSync('true').pid
  const taken = [
    holder(hostname(), dead, '5'),
    // Another process with the number of the dead one, and this one's number before it was started, as in a container.
    holder(hostname(), process.ppid, '5'),
    holder(hostname(), process.pid, '5'),
  ]
  for (const text of taken) await (await lockOutput(lockedBy(t, text).folder, 'train'))()
  const living = [holder(hostname(), process.ppid, startOf(process.ppid)), holder(hostname(), process.pid, startOf('self'))]
  // A thread of this process, with modules of its own, is the second.
  for (const text of living) await t.rejects(lockOutput(lockedBy(t, text, 3600).folder, 'train'), busy)
})

t.test('another host, which renews its lock while it lives', async (t) => {
  const other = holder('elsewhere', process.pid, startOf('self'))
  const { folder, path } = lockedBy(t, other, 60)
  await t.rejects(lockOutput(folder, 'train'), {
    ...busy,
    message: /process \d+ on elsewhere does.*or remove .*\.limo-train\.lock/,
  })
  t.equal(readFileSync(path, 'utf8'), other, 'as it was')
  await (await lockOutput(lockedBy(t, other, 600).folder, 'train'))()
})

t.test('what is no lock', async (t) => {
  for (const text of ['', '{"host":', '4711\n']) {
    await t.rejects(
      lockOutput(lockedBy(t, text).folder, 'train'),
      { ...busy, message: /but another process does/ },
      'just written',
    )
    await (await lockOutput(lockedBy(t, text, 5).folder, 'train'))()
  }
  await t.rejects(lockOutput(join(t.testdir(), 'absent'), 'train'), { code: 'WRITE_FAILED' })
})
