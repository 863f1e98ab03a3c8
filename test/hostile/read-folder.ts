import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort } from 'node:worker_threads'
import { checkTensors, openModelFolder } from '../../lib/checkpoint/model-folder.js'
import { readModelConfig } from '../../lib/config/model-config.js'
import { loadTrainConfig } from '../../lib/config/train-config.js'
import { resolveDatasets } from '../../lib/data/dataset-info.js'
import { readRows } from '../../lib/data/rows/rows.js'
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
    for (const name of ['chains.jsonl', 'chains.json', 'chains.csv', 'chains.parquet', 'chains.jsonl.gz']) {
      if (existsSync(join(folder, name))) await readAll(join(folder, name)).catch(expectLimoError)
    }
  },
  async settings(folder) {
    await loadTrainConfig(join(folder, 'train.yaml'), {})
  },
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
