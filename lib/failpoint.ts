/**
 * Moments at which what is on disk is between two states. With `LIMO_FAIL_AT=name` or `name:3` in the environment the process ends at the
 * first, or third, of them as `kill -9` ends it: tests that kill runs name the moment instead of waiting for it.
 */
export type Failpoint =
  | 'step' // the weights are updated, the row of the metrics is not written
  | 'metrics' // the row is written, the checkpoint of the step is not begun
  | 'file' // a file is written under a temporary name, or in a temporary folder, and not yet fsynced
  | 'rename' // a file or folder is whole under its temporary name
  | 'renamed' // it has its name, which is not yet durable
  | 'aside' // the folder that is replaced has stepped aside, the new one is not in its place
  | 'removed' // the earlier folder of a stage is gone, the new one is not in its place
  | 'result' // an answer of an evaluation is recorded

const reached = new Map<Failpoint, number>()

export function failpoint(name: Failpoint): void {
  const wanted = process.env.LIMO_FAIL_AT
  if (wanted === undefined) return
  const [at, count = '1'] = wanted.split(':')
  if (at !== name) return
  reached.set(name, (reached.get(name) ?? 0) + 1)
  if (reached.get(name) === Number(count)) process.kill(process.pid, 'SIGKILL')
}
