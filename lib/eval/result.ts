import { readFile } from 'node:fs/promises'
import * as v from 'valibot'

/** One answer with its verdict: a line of `results.jsonl`. */
export interface EvalResult {
  benchmark: string
  /** Number of the problem in its benchmark. */
  index: number
  /** Number of the answer to it. */
  sample: number
  question: string
  answer: string
  completion: string
  extracted: string | null
  correct: boolean
  finishReason: 'stop' | 'length'
  promptTokens: number
  completionTokens: number
}

const resultSchema = v.object({
  benchmark: v.string(),
  index: v.number(),
  sample: v.number(),
  question: v.string(),
  answer: v.string(),
  completion: v.string(),
  extracted: v.nullable(v.string()),
  correct: v.boolean(),
  finishReason: v.picklist(['stop', 'length']),
  promptTokens: v.number(),
  completionTokens: v.number(),
})

export function resultKey({ benchmark, index, sample }: Pick<EvalResult, 'benchmark' | 'index' | 'sample'>): string {
  return `${benchmark}/${index}/${sample}`
}

/** The results of a file, of which the last line may be torn; none where there is no such file. */
export async function readResults(path: string): Promise<EvalResult[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  const results: EvalResult[] = []
  for (const line of text.split('\n')) {
    const result = v.safeParse(resultSchema, parseLine(line))
    if (result.success) results.push(result.output)
  }
  return results
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
