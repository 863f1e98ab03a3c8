import { type GenerationShape, seenWords } from './generation-graph.js'
import { uniformAt } from './sampling.js'
import type { Sequence } from './sequence.js'

/** The next `count` tokens of a sequence, which a step puts through the model. */
export interface StepRow {
  sequence: Sequence
  count: number
}

type Inputs = Record<string, Int32Array | Float32Array>

/** The inputs of a prefill step: see `buildGenerationGraph`. */
export function prefillInputs(shape: GenerationShape, rows: readonly StepRow[], penalized: boolean): Inputs {
  const bounds = new Int32Array(rows.length + 1)
  for (const [s, { count }] of rows.entries()) bounds[s + 1] = bounds[s]! + count
  return { ...decodeInputs(shape, rows, penalized), cu_seqlens: bounds }
}

/** The inputs of a decode step. */
export function decodeInputs(shape: GenerationShape, rows: readonly StepRow[], penalized: boolean): Inputs {
  const tokens = rows.reduce((sum, { count }) => sum + count, 0)
  const ids = new Int32Array(tokens)
  const positions = new Int32Array(tokens)
  const slots = new Int32Array(tokens)
  const lengths = new Int32Array(rows.length)
  const last = new Int32Array(rows.length)
  const pageTable = new Int32Array(rows.length * shape.pagesPerSequence)
  let at = 0
  for (const [s, { sequence, count }] of rows.entries()) {
    const { tokens, computed, pages } = sequence
    for (const [p, page] of pages.entries()) pageTable[s * shape.pagesPerSequence + p] = page.index
    for (let position = computed; position < computed + count; position++, at++) {
      ids[at] = tokens[position]!
      positions[at] = position
      slots[at] = pages[Math.floor(position / shape.pageSize)]!.index * shape.pageSize + (position % shape.pageSize)
    }
    lengths[s] = computed + count
    last[s] = at - 1
  }
  return { input_ids: ids, positions, slots, lengths, rows: last, page_table: pageTable, ...choiceInputs(shape, rows, penalized) }
}

function choiceInputs(shape: GenerationShape, rows: readonly StepRow[], penalized: boolean): Inputs {
  const of = (value: (sequence: Sequence) => number) => Float32Array.from(rows, ({ sequence }) => value(sequence))
  return {
    temperature: of(({ request }) => request.sampling.temperature),
    top_k: of(({ request }) => request.sampling.topK),
    top_p: of(({ request }) => request.sampling.topP),
    min_p: of(({ request }) => request.sampling.minP),
    uniform: of(({ request, tokens, promptLength }) =>
      uniformAt(request.sampling.seed, request.sample, tokens.length - promptLength),
    ),
    ...(penalized && {
      penalty: of(({ request }) => request.sampling.repetitionPenalty),
      seen: seenOf(shape, rows),
    }),
  }
}

/** Bit sets of the tokens that each sequence has. */
function seenOf(shape: GenerationShape, rows: readonly StepRow[]): Int32Array {
  const words = seenWords(shape.config.vocabSize)
  const seen = new Int32Array(rows.length * words)
  for (const [s, { sequence }] of rows.entries())
    if (sequence.request.sampling.repetitionPenalty !== 1) seen.set(sequence.seenIn(words), s * words)
  return seen
}
