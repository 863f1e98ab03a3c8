import { execFileSync } from 'node:child_process'
import { repositoryRoot } from './shared-files.js'

/** A column: values as JSON has them; INT64 takes numbers, and text for those that no number holds. */
export interface ParquetColumn {
  name: string
  data: unknown[]
  type?: 'INT64' | 'DOUBLE' | 'JSON'
}

/** An element of a schema, as Parquet lists them: a group before its children. */
export interface ParquetElement {
  name: string
  type?: string
  repetition_type?: string
  converted_type?: string
  num_children?: number
}

const script = `
import { readFileSync } from 'node:fs'
import { parquetWriteBuffer } from 'hyparquet-writer'
const { columnData, rowGroupSize, schema } = JSON.parse(readFileSync(0, 'utf8'))
for (const column of columnData) if (column.type === 'INT64') column.data = column.data.map(BigInt)
process.stdout.write(new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize, schema })))`

/** A Parquet file. It is written by another process: the test runner's module loader does not find a module that the writer imports. */
export function parquetFile(columnData: ParquetColumn[], rowGroupSize = 1000, schema?: ParquetElement[]): Uint8Array {
  return execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: repositoryRoot,
    env: { ...process.env, NODE_OPTIONS: '' },
    input: JSON.stringify({ columnData, rowGroupSize, schema }),
    maxBuffer: 1 << 28,
  })
}
