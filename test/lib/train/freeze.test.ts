import t from 'tap'
import { openModelFolder } from '../../../lib/checkpoint/model-folder.js'
import { parseModelConfig } from '../../../lib/config/model-config.js'
import { type FreezeSettings, trainableBy } from '../../../lib/model/freeze.js'
import type { TrainSession } from '../../../lib/train/train-session.js'
import { microConfigs } from '../../graph/micro-configs.js'
import { closeDevices, deviceAt, trainingTargets } from '../../ops/run-op.js'
import { type Golden, goldenFamilies, openGoldenSession, packedBatch, partOf, readArena, readGolden } from './golden-files.js'

t.teardown(closeDevices)

const all = { modules: ['all'], extraModules: [] }
/** Settings, and what the first layer that is run backward is: layers below it hold no activations. */
const settingsList: FreezeSettings[] = [
  { layers: 1, ...all },
  { layers: -1, ...all },
  { layers: 2, modules: ['mlp'], extraModules: [] },
  { layers: 2, modules: ['input_layernorm'], extraModules: [] },
  { layers: 1, modules: ['self_attn'], extraModules: ['norm'] },
  { layers: 0, modules: ['all'], extraModules: ['embed_tokens'] },
  { layers: 0, modules: ['all'], extraModules: ['norm'] },
]

async function gradientsOf(
  session: TrainSession,
  { batches, expected }: Golden,
): Promise<{ loss: number; gradients: Float32Array }> {
  const { loss } = await session.runMicroStep(packedBatch(batches[0]!, expected[0]!.scored_tokens))
  return { loss, gradients: await readArena(session, 'gradients') }
}

/** The bytes of every weight as products read it. */
async function weightsOf({ plan, arenas }: TrainSession): Promise<Map<string, string>> {
  const isHalf = plan.dtype === 'bf16'
  const arena = isHalf ? arenas.weights : arenas.parameters
  const weights = new Map<string, string>()
  for (const { name, offset, bytes } of plan.layout.parts.values()) {
    const read = isHalf ? await arena.read(offset / 2, bytes / 2) : await arena.read(offset, bytes)
    weights.set(name, Buffer.from(read).toString('base64'))
  }
  return weights
}

for (const { family, folder, skip } of goldenFamilies.slice(0, 3))
  for (const target of trainingTargets)
    for (const dtype of ['f32', 'bf16'] as const)
      t.test(`freezing ${family} on ${target.instructionSet}, ${dtype}`, { skip }, async (t) => {
        const golden = await readGolden(folder)
        const device = await deviceAt(target)
        const whole = await openGoldenSession(golden, device, { dtype, recompute: 'none' })
        const config = (await openModelFolder(folder)).config
        const want = await gradientsOf(whole, golden)
        for (const settings of settingsList)
          for (const recompute of ['none', 'full'] as const) {
            const isTrainable = trainableBy(settings, config)
            const session = await openGoldenSession(golden, device, { dtype, recompute, isTrainable })
            const what = `${JSON.stringify(settings)}, recompute ${recompute}`
            const before = await weightsOf(session)
            const { loss, gradients } = await gradientsOf(session, golden)
            t.equal(loss, want.loss, `${what}: the loss`)
            const trained = [...session.plan.layout.parts.values()].filter(({ trainable }) => trainable)
            t.ok(trained.length > 0 && trained.every(({ name }) => isTrainable(name)), `${what}: what is trained`)
            for (const { name } of trained)
              t.same(
                partOf(gradients, session.plan, name),
                partOf(want.gradients, whole.plan, name),
                `${what}: the gradient of ${name} to the bit`,
              )
            const { bytes, layout } = session.plan
            t.equal(bytes.gradients, layout.trainedBytes)
            t.equal(bytes.optimizer, 2 * layout.trainedBytes)
            t.ok(session.plan.totalBytes < whole.plan.totalBytes, `${what}: less memory`)

            const norm = await session.update(1, 0.01)
            t.ok(Math.abs(norm / Math.hypot(...gradients) - 1) < 1e-5, `${what}: the norm is that of what is trained`)
            const after = await weightsOf(session)
            const changed = [...after.keys()].filter((name) => after.get(name) !== before.get(name))
            t.same(
              new Set(changed),
              new Set(trained.map(({ name }) => name)),
              `${what}: what is trained changes, and nothing else does`,
            )
          }
      })

t.test('layers below all that is trained hold no activations', async (t) => {
  const golden = await readGolden(goldenFamilies[0]!.folder)
  const device = await deviceAt(trainingTargets[0]!)
  const config = (await openModelFolder(goldenFamilies[0]!.folder)).config
  const open = (layers: number) => {
    const isTrainable = trainableBy({ layers, ...all }, config)
    return openGoldenSession(golden, device, { dtype: 'f32', recompute: 'none', isTrainable })
  }
  const [last, first] = [await open(1), await open(-1)]
  const backward = ({ plan }: TrainSession) =>
    plan.programs.microStep.text.split('\n').filter((line) => line.includes(' backward '))
  t.ok(backward(last).length < backward(first).length, 'operations backward')
  t.notOk(
    backward(last).some((line) => line.includes('backward layer 0 ')),
    'none of the first layer',
  )
  t.ok(last.plan.bytes.activations < first.plan.bytes.activations, 'activations')
})

t.test('what cannot be frozen so is refused', async (t) => {
  const config = parseModelConfig(microConfigs.qwen2!, 'qwen2')
  const refuse = (settings: FreezeSettings, message: RegExp) =>
    t.throws(() => trainableBy(settings, config), { code: 'CONFIG_INVALID_VALUE', message })
  refuse(
    { layers: 1, modules: ['q_proj'], extraModules: [] },
    /among all, self_attn, mlp, input_layernorm, post_attention_layernorm for freeze_trainable_modules but received q_proj/,
  )
  refuse({ layers: 1, modules: ['all'], extraModules: ['head'] }, /for freeze_extra_modules but received head/)
  refuse({ layers: 0, ...all }, /expected something to train/)
  const many = trainableBy({ layers: 99, ...all }, config)
  t.ok(many('model.layers.0.mlp.up_proj.weight'), 'more layers than there are')
  t.notOk(many('model.norm.weight'))
})
