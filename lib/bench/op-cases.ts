import { attentionCases } from './attention-cases.js'
import type { ComputeType } from './compute-type.js'
import { addCases, castCases, copyCases, ropeCases, rotaryTableCases, swigluCases, zeroCases } from './elementwise-cases.js'
import { embeddingCases } from './embedding-cases.js'
import { linearCases } from './linear-cases.js'
import { lossCases } from './loss-cases.js'
import { headNormCases, rmsNormCases } from './norm-cases.js'
import type { OpCase } from './op-case.js'
import { adamwCases, gradNormCases } from './optimizer-cases.js'
import type { BenchSizes } from './sizes.js'

/** The cases of each operation and of its gradients, by the operation's name. */
const casesOf: Readonly<Record<string, (type: ComputeType, sizes: BenchSizes) => Generator<OpCase>>> = {
  linear: linearCases,
  attention: attentionCases,
  linear_cross_entropy: lossCases,
  embedding: embeddingCases,
  rms_norm: rmsNormCases,
  head_norm: headNormCases,
  rotary_table: rotaryTableCases,
  rope: ropeCases,
  swiglu: swigluCases,
  add: addCases,
  copy: copyCases,
  cast: castCases,
  zero: zeroCases,
  grad_norm: gradNormCases,
  adamw: adamwCases,
}

export const benchmarkedOps: readonly string[] = Object.keys(casesOf)

/** Every case of the operations named at these sizes. Cases are made one at a time: the large ones take gigabytes. */
export function* opCases(wanted: readonly string[], type: ComputeType, sizes: BenchSizes): Generator<OpCase> {
  for (const name of benchmarkedOps) if (wanted.includes(name)) yield* casesOf[name]!(type, sizes)
}
