import t from 'tap'
import { parseModelConfig } from '../../lib/config/model-config.js'
import { planTraining } from '../../lib/train/train-plan.js'
import { microConfigs } from './micro-configs.js'

t.test('working memory is planned for the backend that needs it, and for no other', async (t) => {
  const plan = (device: string, dtype: 'f32' | 'bf16') =>
    planTraining({
      config: parseModelConfig(microConfigs.qwen2!, 'qwen2'),
      ...{ device, dtype, recompute: 'none', threads: 1, maxTokens: 64, maxSequences: 2, maxGradNorm: 1 },
      adamw: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 },
    })
  const lines = (device: string, dtype: 'f32' | 'bf16') =>
    plan(device, dtype)
      .programs.microStep.text.split('\n')
      .filter((line) => line.includes('d_q_sum'))
  t.match(lines('cpu', 'bf16')[0], /attention_backward .* d_q_sum= .*\[T, \d+\]@activations\+\d+/)
  for (const [device, dtype] of [
    ['cpu', 'f32'],
    ['cuda', 'bf16'],
    ['cuda:1', 'f32'],
  ] as const)
    t.same(lines(device, dtype), [], `${device}, ${dtype}`)
})
