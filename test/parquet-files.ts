import { execFileSync } from 'node:child_process'
import { repositoryRoot } from './shared-files.js'

/** A column: values as JSON has them; INT64 takes numbers, and text for those that no number holds. */
export interface ParquetColumn {
  name: string
  data: unknown[]
  type?: 'INT64' | 'DOUBLE' | 'JSON'
}

const script = `
import { readFileSync } from 'node:fs'
import { parquetWriteBuffer } from 'hyparquet-writer'
const { columnData, rowGroupSize } = JSON.parse(readFileSync(0, 'utf8'))
for (const column of columnData) if (column.type === 'INT64') column.data = column.data.map(BigInt)
process.stdout.write(new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize })))`

/** A Parquet file. It is written by another process: the test runner's module loader does not find a module that the writer imports. */
export function parquetFile(columnData: ParquetColumn[], rowGroupSize = 1000): Uint8Array {
  return execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: repositoryRoot,
    env: { ...process.env, NODE_OPTIONS: '' },
    input: JSON.stringify({ columnData, rowGroupSize }),
    maxBuffer: 1 << 28,
  })
}
