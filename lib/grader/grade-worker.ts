import { parentPort } from 'node:worker_threads'
import { type Comparison, compareAnswers } from './compare-answers.js'

export interface GradeRequest {
  gold: string
  prediction: string
}

export type GradeAnswer = Comparison | 'failed'

parentPort!.on('message', ({ gold, prediction }: GradeRequest) => {
  parentPort!.postMessage(answerTo(gold, prediction))
})
parentPort!.postMessage('started')

function answerTo(gold: string, prediction: string): GradeAnswer {
  try {
    return compareAnswers(gold, prediction)
  } catch {
    return 'failed'
  }
}
