import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { type TinyInputs, tinySettings, writeTinyInputs } from '../tiny-inputs.js'
import { asOptions, type CliResult, runCli } from './run-cli.js'

/*
 * What goes wrong with a user's own files: each ends with one message that names what, where and what to do, without a stack
 * trace, without output, and with everything that was there as it was.
 */

type Settings = Record<string, string | number | boolean>

/** Every file below a folder with its bytes. */
function contentsOf(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(folder, name)).isFile())
  return new Map(files.sort().map((name) => [name, readFileSync(join(folder, name), 'latin1')]))
}

function expectRefusal(
  t: Tap,
  { code, stdout, stderr }: CliResult,
  expected: { exit: number; code: string; message: RegExp },
): void {
  t.equal(code, expected.exit, stderr)
  t.match(stderr, expected.message)
  t.match(stderr, new RegExp(`^limo-native: [^\\n]+ \\[${expected.code}\\]\\n$`), 'one line with the code of the error')
  t.notMatch(stdout, /step \d/)
}
type Tap = Pick<typeof t, 'equal' | 'match' | 'notMatch'>

interface Case {
  name: string
  /** Spoils the inputs, and gives the settings of the run. */
  make: (inputs: TinyInputs) => Settings
  exit?: number
  code: string
  message: RegExp
}

const cases: Case[] = [
  {
    name: 'no model folder',
    make: () => ({ model_name_or_path: './absent' }),
    ...{ exit: 2, code: 'MODEL_NOT_FOUND', message: /received "\.\/absent": there is no such folder/ },
  },
  {
    name: 'a model of the hub',
    make: () => ({ model_name_or_path: 'Qwen/Qwen2.5-0.5B-Instruct' }),
    ...{
      exit: 2,
      code: 'MODEL_NOT_FOUND',
      message: /not downloaded .*hf download Qwen\/Qwen2\.5-0\.5B-Instruct --local-dir/,
    },
  },
  {
    name: 'a folder without weights',
    make: ({ modelFolder }) => {
      rmSync(join(modelFolder, 'model.safetensors'))
      writeFileSync(join(modelFolder, 'pytorch_model.bin'), '')
      return {}
    },
    ...{ code: 'MODEL_NOT_FOUND', message: /pytorch_model\.bin is another format: save the model with/ },
  },
  {
    name: 'a model with a sliding window',
    make: (inputs) => editConfig(inputs, { use_sliding_window: true, sliding_window: 512, max_window_layers: 0 }),
    ...{ exit: 2, code: 'MODEL_UNSUPPORTED', message: /use_sliding_window true is not supported .*config\.json/ },
  },
  {
    name: 'a config.json of another size',
    make: (inputs) => editConfig(inputs, { intermediate_size: 48 }),
    ...{ code: 'TENSOR_MISMATCH', message: /mlp\.gate_proj\.weight \(expected \[48, 16\] but received \[32, 16\]\)/ },
  },
  {
    name: 'a tensor too few',
    make: (inputs) => editConfig(inputs, { num_hidden_layers: 3 }),
    ...{
      code: 'TENSOR_MISSING',
      message: /12 tensors missing: model\.layers\.2\..* and 2 more.*Do config\.json and the weights belong/,
    },
  },
  {
    name: 'a tensor too many',
    make: (inputs) => editConfig(inputs, { num_hidden_layers: 1 }),
    ...{ code: 'TENSOR_UNEXPECTED', message: /12 tensors without a place in the model: model\.layers\.1\./ },
  },
  {
    name: 'truncated weights',
    make: ({ modelFolder }) => {
      const path = join(modelFolder, 'model.safetensors')
      writeFileSync(path, readFileSync(path).subarray(0, 20_000))
      return {}
    },
    ...{ code: 'SAFETENSORS_MALFORMED', message: /model\.safetensors/ },
  },
  {
    name: 'no dataset',
    make: () => ({ dataset: 'chain.jsonl' }),
    ...{ code: 'DATA_NOT_FOUND', message: /expected dataset "chain\.jsonl" to be a file or a name in .*dataset_info\.json/ },
  },
  {
    name: 'an empty dataset',
    make: ({ dataset }) => {
      writeFileSync(dataset, '\n')
      return {}
    },
    ...{ code: 'DATA_EMPTY', message: /chains\.jsonl|expected at least one (example|record)/ },
  },
  {
    name: 'a broken line',
    make: (inputs) => appendRow(inputs, '{"question": "1+1?", "solution": "2'),
    ...{ code: 'DATA_MALFORMED', message: /chains\.jsonl:25/ },
  },
  {
    name: 'columns of another name',
    make: (inputs) => appendRow(inputs, '{"problem": "1+1?", "reply": "2"}'),
    ...{ code: 'DATA_INVALID_RECORD', message: /chains\.jsonl:25: expected the columns .* but received \{problem, reply\}/ },
  },
  {
    name: 'an empty turn',
    make: (inputs) => appendRow(inputs, '{"question": "1+1?", "solution": " "}'),
    ...{ code: 'DATA_EMPTY_TURN', message: /chains\.jsonl:25/ },
  },
  {
    name: 'nothing scored',
    make: (inputs) => appendRow(inputs, '{"input_ids": [1, 2, 3], "labels": [1, -100, -100]}'),
    ...{ code: 'DATA_NOTHING_SCORED', message: /chains\.jsonl:25: .*Label the tokens of the response, or remove the record/ },
  },
  {
    name: 'a token above the vocabulary',
    make: (inputs) => appendRow(inputs, '{"input_ids": [1, 264, 3], "labels": [-100, 264, 3]}'),
    ...{ code: 'TOKEN_OUT_OF_RANGE', message: /chains\.jsonl:25: .*vocabulary of 264 but received 264 at position 1/ },
  },
  {
    name: 'a template that throws',
    make: ({ modelFolder }) => {
      writeFileSync(join(modelFolder, 'chat_template.jinja'), "{{ raise_exception('no system turn, please') }}")
      return {}
    },
    ...{ code: 'TEMPLATE_FAILED', message: /chains\.jsonl:1: .*\(chat_template\.jinja\) refused it: .*no system turn, please/ },
  },
  {
    name: 'over-length chains',
    make: () => ({ cutoff_len: 300 }),
    ...{
      code: 'DATA_OVER_LENGTH',
      message: /at most 300 tokens \(cutoff_len\) but \d+ of 24 are longer: chains\.jsonl:\d+ has \d+.*Raise cutoff_len to \d+/,
    },
  },
  {
    name: 'cutoff_len that leaves nothing',
    make: () => ({ cutoff_len: 20, over_length: 'drop' }),
    ...{ code: 'DATA_EMPTY', message: /all 24 are longer than cutoff_len 20/ },
  },
  {
    name: 'cutoff_len within the prompt',
    make: () => ({ cutoff_len: 20, over_length: 'truncate' }),
    ...{ code: 'DATA_NOTHING_SCORED', message: /the prompt alone is longer\. Raise cutoff_len, or set over_length: drop/ },
  },
  {
    name: 'an output folder that is a file',
    make: ({ dataset }) => ({ output_dir: dataset }),
    ...{
      code: 'WRITE_FAILED',
      message: /expected a folder for output_dir but .*chains\.jsonl is a file: choose another output_dir/,
    },
  },
  {
    name: 'an output folder that is a file, to be resumed',
    make: ({ dataset }) => ({ output_dir: dataset, resume_from_checkpoint: true }),
    ...{ code: 'WRITE_FAILED', message: /chains\.jsonl is a file/ },
  },
  {
    name: 'an output folder with an empty name',
    make: () => ({ output_dir: '' }),
    ...{ exit: 2, code: 'CONFIG_INVALID_VALUE', message: /a string that is not empty for output_dir but received ""/ },
  },
  {
    name: 'a CUDA device without one',
    make: () => ({ device: 'cuda:0' }),
    ...{ code: 'DEVICE_UNAVAILABLE', message: /expected a CUDA device for "cuda:0" but .*Use --device cpu/ },
  },
  {
    name: 'a memory limit that is too small',
    make: () => ({ memory_limit: '9MiB' }),
    ...{ code: 'OUT_OF_MEMORY', message: /within 9\.00 MiB but it takes \d+\.\d+ MiB .* Lower cutoff_len/ },
  },
]

function editConfig({ modelFolder }: TinyInputs, changes: Record<string, unknown>): Settings {
  const path = join(modelFolder, 'config.json')
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...changes }))
  return {}
}

/** The file has 24 rows before. */
function appendRow({ dataset }: TinyInputs, row: string): Settings {
  writeFileSync(dataset, `${readFileSync(dataset, 'utf8')}${row}\n`)
  return {}
}

for (const { name, make, exit = 1, code, message } of cases) {
  t.test(name, async (t) => {
    const folder = t.testdir()
    const inputs = await writeTinyInputs(folder)
    const settings = { ...tinySettings(inputs, join(folder, 'out')), ...make(inputs) }
    const before = contentsOf(folder)
    expectRefusal(t, await runCli(['train', ...asOptions(settings)], { cwd: folder }), { exit, code, message })
    t.same(contentsOf(folder), before, 'no file is changed, none is left behind')
    t.notOk(existsSync(join(folder, 'out')), 'no output folder')
  })
}

t.test('over-length chains with a policy: a report of what is lost', async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const run = (over_length: string) =>
    runCli(['train', ...asOptions({ ...tinySettings(inputs, join(folder, over_length)), cutoff_len: 300, over_length })])
  const dropped = await run('drop')
  t.equal(dropped.code, 0, dropped.stderr)
  const [, kept, lost] =
    /data +(\d+) examples.*\n +(\d+) examples dropped, longer than cutoff_len: [\d,]+ scored tokens lost, \d+ answers in .*: chains/.exec(
      dropped.stdout,
    ) ?? []
  t.equal(Number(kept) + Number(lost), 24)
  const truncated = await run('truncate')
  t.equal(truncated.code, 0, truncated.stderr)
  t.match(
    truncated.stdout,
    new RegExp(
      `data +24 examples.*longest 300\\n +${lost} examples truncated, longer than cutoff_len: [\\d,]+ scored tokens lost, ${lost} answers in .*, ${lost} ends of turn: chains`,
    ),
  )
})

/** A file system of its own that is soon full, or undefined where this user may not mount one. */
function mountSmallDisk(kibibytes: number): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'limo-full-disk-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kibibytes}k`, 'tmpfs', folder], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  t.teardown(() => execFileSync('umount', [folder]))
  return folder
}

// A checkpoint takes 120 KiB.
const disk = mountSmallDisk(320)
t.test('a disk that is full', { skip: disk === undefined && 'a small disk cannot be mounted here' }, async (t) => {
  const folder = t.testdir()
  const inputs = await writeTinyInputs(folder)
  const settings = { ...tinySettings(inputs, join(disk!, 'out')), save_strategy: 'steps', save_steps: 1 }
  const full = await runCli(['train', ...asOptions(settings)])
  t.equal(full.code, 1)
  t.match(full.stderr, /^limo-native: [^\n]*disk is full[^\n]*\[WRITE_FAILED\]\n$/)

  const [checkpoint, ...more] = readdirSync(join(disk!, 'out')).filter((name) => /checkpoint-\d+$/.test(name))
  t.ok(checkpoint !== undefined, 'earlier checkpoints are intact')
  t.same(
    readdirSync(join(disk!, 'out')).filter((name) => name.startsWith('.')),
    [],
    'nothing half written is left',
  )
  cpSync(join(disk!, 'out'), join(folder, 'out'), { recursive: true })
  const resumed = await runCli([
    'train',
    ...asOptions({ ...settings, output_dir: join(folder, 'out'), resume_from_checkpoint: true }),
  ])
  t.equal(resumed.code, 0, resumed.stderr)
  t.match(resumed.stdout, new RegExp(`resuming +after step ${1 + more.length} `))
})
