import type { DatasetSource } from './dataset-info.js'
import type { Example } from './example.js'
import type { ExampleInfo, Examples } from './examples.js'

/** An example whose tokens are not kept. */
export interface CheckedExample extends Omit<ExampleInfo, 'record'> {
  /** [T]; only of examples that are too long, whose ends may be cut off. */
  readLabels?: (() => Int32Array) | undefined
}

/** The examples that a check has seen, so that what training decides over all of them can be decided by the same code. */
export class CheckedExamples {
  readonly sources: DatasetSource[] = []
  readonly counts: number[] = []
  readonly #examples: CheckedExample[] = []

  begin(source: DatasetSource): void {
    this.sources.push(source)
    this.counts.push(0)
  }

  add(example: CheckedExample): void {
    this.#examples.push(example)
    this.counts[this.counts.length - 1]! += 1
  }

  get examples(): Examples {
    const list = this.#examples
    return {
      count: list.length,
      infoOf: (index) => ({ ...list[index]!, record: index }),
      read(index): Example {
        const { place, length, scoredTokens, readLabels } = list[index]!
        const labels = readLabels?.() ?? new Int32Array(length)
        return { place, inputIds: new Int32Array(length), labels, scoredTokens }
      },
    }
  }
}
