import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort } from 'node:worker_threads'
import { checkTensors, openModelFolder } from '../../lib/checkpoint/model-folder.js'
import { readModelConfig } from '../../lib/config/model-config.js'
import { loadTrainConfig } from '../../lib/config/train-config.js'
import { type DatasetSource, resolveDatasets } from '../../lib/data/dataset-info.js'
import { messagesOf } from '../../lib/data/file-notes.js'
import { parseProblemRow } from '../../lib/data/problem-row.js'
import { readBatches, readRows } from '../../lib/data/rows/rows.js'
import { tokenize } from '../../lib/data/tokenize.js'
import type { TokenizedBatch } from '../../lib/data/tokenize-batch.js'
import { loadTokenizer } from '../../lib/data/tokenizer/tokenizer.js'
import { LimoError } from '../../lib/errors.js'
import { readGenerationConfig } from '../../lib/generate/generation-config.js'
import { declareParameters } from '../../lib/model/decoder-parameters.js'

/** Ways to read a folder, each as a command goes it. */
const readers: Record<string, (folder: string) => Promise<unknown>> = {
  async weights(folder) {
    const { config, tensors } = await openModelFolder(join(folder, 'model'))
    checkTensors(declareParameters(config).weights, tensors, { tied: config.tieWordEmbeddings })
  },
  async shards(folder) {
    await openModelFolder(join(folder, 'sharded'))
  },
  async tokenizer(folder) {
    const tokenizer = await loadTokenizer(join(folder, 'model'))
    tokenizer.decode(tokenizer.encode('Say <|im_start|>user 12 + 30, please.\n\n🙂'))
    await readGenerationConfig(join(folder, 'model'), await readModelConfig(join(folder, 'model')), tokenizer)
  },
  async parameters(folder) {
    declareParameters(await readModelConfig(join(folder, 'model')))
  },
  async dataset(folder) {
    for (const { files } of await resolveDatasets('chains', folder)) for (const file of files) await readAll(file)
  },
  async rows(folder) {
    for (const name of ['chains.jsonl', 'chains.json', 'chains.csv', 'chains.parquet', 'chains.jsonl.gz', 'chains.jsonl.zst']) {
      if (existsSync(join(folder, name))) await readAll(join(folder, name)).catch(expectLimoError)
    }
  },
  async conversations(folder) {
    await examplesOf(folder, [{ name: 'talks', files: [join(folder, 'conversations.json')] }])
    await examplesOf(folder, await resolveDatasets('talks', folder)).catch(expectLimoError)
  },
  async problems(folder) {
    for await (const row of readRows(join(folder, 'conversations.json'))) {
      try {
        parseProblemRow(row)
      } catch (error) {
        expectLimoError(error)
      }
    }
  },
  async settings(folder) {
    await loadTrainConfig(join(folder, 'train.yaml'), {})
  },
}

/** Goes from rows to examples; errors of single rows are none of the others'. */
async function examplesOf(folder: string, sources: readonly DatasetSource[]): Promise<void> {
  const modelFolder = join(folder, 'model')
  for (const { files, columns } of sources) {
    for (const file of files) {
      for (const template of [undefined, 'qwen3']) {
        const work = {
          modelFolder,
          vocabSize: 1e6,
          check: true,
          defaultSystem: 'Be exact.',
          ...(template && { template }),
          columns,
        }
        const batches = tokenize(readBatches(file, { onMalformed: () => {} }), work, { workers: 0 })
        await readBatchesOf(batches).catch(expectLimoError)
      }
    }
  }
}

async function readBatchesOf(batches: AsyncIterable<TokenizedBatch>): Promise<void> {
  for await (const { problems, notes } of batches) {
    messagesOf([{ file: 'conversations.json', notes }])
    for (const { message } of problems) if (message === '') throw new Error('a problem without a message')
  }
}

async function readAll(file: string): Promise<void> {
  for await (const _ of readRows(file));
}

function expectLimoError(error: unknown): void {
  if (!(error instanceof LimoError)) throw error
}

parentPort!.on('message', async (folder: string) => {
  for (const [name, read] of Object.entries(readers)) {
    try {
      await read(folder).catch(expectLimoError)
    } catch (error) {
      parentPort!.postMessage({ problem: `${name}: ${(error as Error).stack ?? error}` })
      return
    }
  }
  parentPort!.postMessage({})
})
parentPort!.postMessage('ready')
