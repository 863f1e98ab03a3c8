import { notScored } from '../data/example.js'
import type { Examples } from '../data/examples.js'
import type { TextTokenizer } from '../data/tokenizer/tokenizer.js'
import { gradeBoxed } from '../eval/judge.js'
import { Engine } from '../generate/engine.js'
import type { GenerationConfig } from '../generate/generation-config.js'
import type { GenerationPlan } from '../generate/generation-plan.js'
import { defaultSampling } from '../generate/sampling.js'
import { extractAnswer } from '../grader/extract-answer.js'
import type { Arena, Device } from '../native/device.js'

/** A held out example as a problem: what comes before its last response, and the answer in that. */
export interface HeldOutProblem {
  place: string
  promptIds: Int32Array
  /** What is in the last `\boxed{…}` of the response; undefined where there is none. */
  answer: string | undefined
}

/** What a model says to one of them while it is trained. */
export interface SampleCompletion {
  place: string
  completion: string
  answer: string | null
  extracted: string | null
  correct: boolean
  /** Whether it was ended by max_new_tokens. */
  cutOff: boolean
}

/** Held out problems that a model answers while it is trained. */
export interface GenerationScorePlan {
  plan: GenerationPlan
  problems: HeldOutProblem[]
  tokenizer: TextTokenizer
  config: GenerationConfig
  maxNewTokens: number
}

/** The first `count` examples as problems. */
export function heldOutProblemsOf(examples: Examples, count: number, tokenizer: TextTokenizer): HeldOutProblem[] {
  return Array.from({ length: Math.min(count, examples.count) }, (_, index) => {
    const { place, inputIds, labels } = examples.read(index)
    let end = labels.length
    while (end > 0 && labels[end - 1] === notScored) end -= 1
    let start = end
    while (start > 0 && labels[start - 1] !== notScored) start -= 1
    const answer = extractAnswer(tokenizer.decode(inputIds.subarray(start, end)))
    return { place, promptIds: inputIds.slice(0, start), answer }
  })
}

/** Lets the model that is being trained answer held out problems, with the weights as they are. */
export class GenerationScorer {
  private constructor(
    private readonly options: GenerationScorePlan,
    private readonly engine: Engine,
  ) {}

  /** `weights`: those that products read, in the arena of the training step. */
  static async create(device: Device, options: GenerationScorePlan, weights: Arena): Promise<GenerationScorer> {
    return new GenerationScorer(options, await Engine.create(device, options.plan, weights))
  }

  /** Greedy answers to all problems. The accuracy is over those that have an answer; undefined where none has. */
  async score(signal?: AbortSignal): Promise<{ accuracy: number | undefined; completions: SampleCompletion[] }> {
    const { problems, tokenizer, config, maxNewTokens } = this.options
    // The weights have changed since.
    this.engine.pool.forgetAll()
    const completions = await Promise.all(
      problems.map(async ({ place, promptIds, answer }) => {
        const sampling = { ...defaultSampling, maxNewTokens }
        const ids = await this.engine.complete({ promptIds: [...promptIds], sampling, sample: 0, endIds: config.endIds }, signal)
        const completion = tokenizer.decode(ids.filter((id) => !tokenizer.isSpecial(id)))
        const cutOff = !config.endIds.has(ids.at(-1)!)
        const { extracted, correct } = await gradeBoxed({ question: '', answer: answer ?? '', completion })
        return { place, completion, answer: answer ?? null, extracted: extracted ?? null, correct, cutOff }
      }),
    )
    const graded = completions.filter(({ answer }) => answer !== null)
    const accuracy = graded.length === 0 ? undefined : graded.filter(({ correct }) => correct).length / graded.length
    return { accuracy, completions }
  }
}
