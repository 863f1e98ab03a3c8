import { writeCheckpoint } from '../../../lib/checkpoint/training-state.js'
import { configText, countingTensor } from './writers.js'

/* Writes one checkpoint after the other into the folder of its argument until it is killed. */
const [outputDir] = process.argv.slice(2)
const tensors = Array.from({ length: 40 }, (_, i) => countingTensor(`weight.${i}`, [64, 64]))
process.stdout.write('started\n')
for (let step = 1; ; step++) {
  await writeCheckpoint(outputDir!, step, {
    model: { configText, tensors, tokenizer: { files: { 'tokenizer.json': '{}' } } },
    state: { step, epoch: step, totalSteps: 1000, settings: {}, examples: { count: 1, digest: '' } },
    optimizer: tensors,
  })
}
