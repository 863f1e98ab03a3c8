import { once } from 'node:events'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { Worker } from 'node:worker_threads'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { publishFolder } from '../../lib/checkpoint/atomic-folder.js'
import { writeModelFiles } from '../../lib/checkpoint/model-files.js'
import { countingTensor } from '../lib/checkpoint/writers.js'
import { Draw } from '../lib/grader/draw.js'
import { parquetFile } from '../parquet-files.js'
import { writeTinyInputs } from '../tiny-inputs.js'
import { mutatedBytes, mutatedJson } from './mutations.js'

/** `LIMO_FUZZ_SECONDS=3600 npm run fuzz` for an hour; `LIMO_FUZZ_SEED` goes on from a seed. */
const seconds = Number(process.env.LIMO_FUZZ_SECONDS ?? 8)
const firstSeed = Number(process.env.LIMO_FUZZ_SEED ?? 1)

/** Longest time of one folder, on a machine that does other things, and the heap that reading one may grow to. */
const LONGEST_MS = 20_000
const HEAP_MB = 256

/** A folder with one file of each kind that is read. */
async function writeValidFolder(folder: string): Promise<void> {
  const { modelFolder } = await writeTinyInputs(folder, { chains: 8 })
  const write = (path: string, content: unknown) =>
    writeFileSync(join(folder, path), content instanceof Uint8Array ? content : JSON.stringify(content, null, 1))
  write('model/generation_config.json', { do_sample: true, temperature: 0.7, top_k: 20, eos_token_id: [256, 258] })
  await publishFolder(join(folder, 'sharded'), (writer) =>
    writeModelFiles(writer, {
      configText: readFileSync(join(modelFolder, 'config.json'), 'utf8'),
      tensors: ['a', 'b', 'c', 'd'].map((name) => countingTensor(name, [4, 4])),
      tokenizer: { files: {} },
      maxShardBytes: 100,
    }),
  )
  const rows = [1, 2, 3, 4].map((index) => ({ question: `What is ${index} + 1?`, solution: `\\boxed{${index + 1}}`, n: index }))
  const column = (name: 'question' | 'solution') => ({ name, data: rows.map((row) => row[name]) })
  write('chains.json', rows)
  write('chains.csv', Buffer.from(`question,solution\n${rows.map((row) => `"${row.question}",${row.solution}`).join('\n')}\n`))
  write('chains.jsonl.gz', gzipSync(rows.map((row) => JSON.stringify(row)).join('\n')))
  write('chains.jsonl.zst', zstdSkippable(zstdStored(Buffer.from(rows.map((row) => JSON.stringify(row)).join('\n')))))
  write('conversations.json', conversations)
  write('model/tokenizer_config.json', {
    ...JSON.parse(readFileSync(join(modelFolder, 'tokenizer_config.json'), 'utf8')),
    ...chatML,
  })
  write('model/chat_template.jinja', Buffer.from(chatTemplate))
  write('chains.parquet', parquetFile([column('question'), column('solution')]))
  write('dataset_info.json', {
    chains: { file_name: 'chains.json', columns: { prompt: 'question', response: 'solution' }, num_samples: 3 },
    talks: {
      file_name: 'conversations.json',
      formatting: 'sharegpt',
      columns: { messages: 'messages', tools: 'tools', system: 'system' },
      tags: { role_tag: 'role', content_tag: 'content', user_tag: 'user', assistant_tag: 'assistant', observation_tag: 'tool' },
    },
  })
  write('train.yaml', Buffer.from('model_name_or_path: model\ndataset: chains\noutput_dir: out\nlearning_rate: 1e-3\n'))
}

/** One frame of zstd with one block that is stored as it is. */
function zstdStored(content: Uint8Array): Buffer {
  const size = Buffer.alloc(4)
  size.writeUInt32LE(content.length)
  const block = Buffer.alloc(3)
  block.writeUIntLE(1 + content.length * 8, 0, 3)
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0]), size, block, content])
}

/** Behind a frame that is skipped, as pzstd writes it. */
function zstdSkippable(frame: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]), frame])
}

/** Rows with one of each thing that turns may have. */
const conversations = [
  {
    system: 'Be brief.',
    tools: [{ type: 'function', function: { name: 'sum', parameters: { type: 'object' } } }],
    messages: [
      { role: 'user', content: '1 + 1?', name: 'Ada' },
      { role: 'assistant', content: null, tool_calls: [{ id: 'c1', function: { name: 'sum', arguments: '{"of": [1, 1]}' } }] },
      { role: 'tool', content: '<tool_response>\n2\n</tool_response>', tool_call_id: 'c1' },
      { role: 'assistant', content: [{ type: 'text', text: '\\boxed{2}' }], reasoning_content: 'It says 2.', weight: 1 },
    ],
  },
  { question: '2 + 2?', reasoning: 'Two and two.', answer: '4', weight: 1 },
  { prompt: [{ role: 'user', content: 'a' }], completion: [{ role: 'assistant', content: 'b', train: true }] },
  { instruction: 'Add.', input: '1, 2', output: '3', history: [['Hi', 'Hello']], system_prompt: 'Think.' },
  {
    conversations: [
      { from: 'human', value: 'q' },
      { from: 'gpt', value: '<think>\nHm.\n</think>\n\na' },
    ],
  },
  { input_ids: [1, 2, 3], labels: [-100, 2, 3], loss_mask: [0, 1, 1] },
]

/** A template with one of each kind of statement. */
const chatTemplate =
  '{%- macro written(m) %}{{ m.content | default("", true) | trim }}{% endmacro %}' +
  '{%- set ns = namespace(calls=0) %}{%- if tools %}{% for t in tools %}{{ t | tojson(indent=2) }}{% endfor %}<|im_end|>\n{% endif %}' +
  "{%- for m in messages if m.role != 'none' %}{{ '<|im_start|>' + m['role'] + '\n' }}{{ m.name }}{{ m.reasoning_content }}{{ written(m) }}" +
  '{%- for c in m.tool_calls %}{% set ns.calls = ns.calls + 1 %}{{ c.function.name ~ (c.function.arguments | tojson) }}{% endfor %}' +
  "{{ '<|im_end|>' }}{{ '\n' if not loop.last else '\n'[:1] }}{% endfor %}" +
  "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
const chatML = { eos_token: '<|im_end|>', bos_token: null }

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(folder, path)).isFile())
    .sort()
}

/** Reads folders in a thread whose heap is bounded, so that one that grows without bounds is seen. */
class FolderReader {
  private constructor(private readonly worker: Worker) {}

  static async start(): Promise<FolderReader> {
    const worker = new Worker(new URL('./read-folder.js', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    })
    await once(worker, 'message')
    return new FolderReader(worker)
  }

  /** What is wrong with how a folder was read; undefined where it was read, or refused as it has to be. */
  async problemOf(folder: string): Promise<string | undefined> {
    const { worker } = this
    return new Promise((resolve) => {
      const end = (problem: string | undefined) => {
        clearTimeout(timer)
        worker.off('message', onMessage).off('error', onError).off('exit', onExit)
        // Errors of a thread that was replaced are ignored.
        if (worker.listenerCount('error') === 0) worker.on('error', () => {})
        resolve(problem)
      }
      const onMessage = ({ problem }: { problem?: string }) => end(problem)
      const onError = (error: Error) => end(`the thread ended: ${error.message}`)
      const onExit = (code: number) => end(`the thread ended with ${code}`)
      const timer = setTimeout(() => end(`reading took more than ${LONGEST_MS} ms`), LONGEST_MS)
      worker.on('message', onMessage).on('error', onError).on('exit', onExit)
      worker.postMessage(folder)
    })
  }

  async close(): Promise<void> {
    await this.worker.terminate()
  }
}

t.test('a folder with any bytes is read or refused', { timeout: (seconds + 120) * 1000 }, async (t) => {
  const base = t.testdir({ valid: {}, now: {} })
  const [valid, folder] = [join(base, 'valid'), join(base, 'now')]
  await writeValidFolder(valid)
  cpSync(valid, folder, { recursive: true })
  const files = filesIn(valid)
  let reader = await FolderReader.start()
  t.equal(await reader.problemOf(folder), undefined, 'as it was written')
  const end = performance.now() + seconds * 1000
  let seed = firstSeed
  for (; performance.now() < end; seed += 1) {
    const draw = new Draw(seed)
    const name = draw.one(files)
    const original = readFileSync(join(valid, name))
    const isJson = name.endsWith('.json') && draw.whole(0, 3) > 0
    writeFileSync(join(folder, name), isJson ? mutatedJson(draw, original.toString('utf8')) : mutatedBytes(draw, original))
    const problem = await reader.problemOf(folder)
    if (problem !== undefined) {
      const kept = join(base, `seed-${seed}`)
      mkdirSync(kept)
      cpSync(join(folder, name), join(kept, name.replaceAll('/', '-')))
      t.fail(`seed ${seed}, ${relative(base, kept)}, ${name}: ${problem}`)
      await reader.close()
      reader = await FolderReader.start()
    }
    writeFileSync(join(folder, name), original)
  }
  await reader.close()
  t.comment(`${seed - firstSeed} folders`)
  rmSync(folder, { recursive: true })
})
