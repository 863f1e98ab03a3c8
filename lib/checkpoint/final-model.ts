import { link, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makeFolder } from './atomic-folder.js'
import { chatTemplateName, generationConfigName } from './chat-metadata.js'
import { activeTemporary, moveInPlace, syncFolder, temporaryName, writeFailed, writeFileAtomically } from './durable-file.js'
import { type Manifest, manifestName, readManifest } from './manifest.js'
import { isWeightsFile, tokenizerFiles } from './model-folder.js'
import { readChunks } from './read-chunks.js'

/**
 * Puts the files of a finished checkpoint into the output folder itself: tensors as hard links (copied where links do not
 * work), small files as copies, each under a temporary name and renamed, `manifest.json` last.
 *
 * Throws a CheckpointError: `CHECKPOINT_CORRUPT` where the checkpoint has no manifest, `WRITE_FAILED`.
 */
export async function publishFinalModel(checkpointFolder: string, outputDir: string): Promise<void> {
  const { files } = await readManifest(checkpointFolder)
  await makeFolder(outputDir)
  await removeEarlierModel(outputDir, files)
  const folders = new Set([outputDir])
  for (const name of Object.keys(files)) {
    const target = join(outputDir, name)
    await makeFolder(dirname(target))
    folders.add(dirname(target))
    await publishFile(join(checkpointFolder, name), target)
  }
  for (const folder of folders) await syncFolder(folder)
  const manifest = Buffer.from(`${JSON.stringify({ files }, null, 2)}\n`)
  await writeFileAtomically(join(outputDir, manifestName), (sink) => sink(manifest))
}

/**
 * The names in an output folder that a finished model would replace and that the folder's own manifest does not list: files of
 * someone else. `modelFolder` is where the run takes its tokenizer files from.
 */
export async function findForeignFiles(outputDir: string, modelFolder: string): Promise<string[]> {
  const names = await readdir(outputDir).catch(() => [] as string[])
  const own = ['config.json', 'training-state', manifestName, generationConfigName, chatTemplateName]
  const published = new Set([...own, ...(await tokenizerFiles(modelFolder))])
  const manifest = await readManifest(outputDir).catch(() => undefined)
  const listed = new Set(manifest && [manifestName, ...Object.keys(manifest.files).map((name) => name.split('/')[0])])
  return names.filter((name) => (published.has(name) || isWeightsFile(name)) && !listed.has(name))
}

/** Without its manifest a model is no longer vouched for; files that the new one lacks, such as further shards, go too. */
async function removeEarlierModel(outputDir: string, files: Manifest['files']): Promise<void> {
  const earlier = await readManifest(outputDir).catch(() => undefined)
  const obsolete = Object.keys(earlier?.files ?? {}).filter((name) => !Object.hasOwn(files, name))
  for (const name of [manifestName, ...obsolete]) {
    const path = join(outputDir, name)
    await rm(path, { force: true }).catch((cause) => {
      throw writeFailed(cause, path)
    })
  }
}

async function publishFile(source: string, target: string): Promise<void> {
  // Only weights are worth a link: someone who edits a linked config.json in place would alter the checkpoint as well.
  if (source.endsWith('.safetensors') && (await tryLink(source, target))) return
  await writeFileAtomically(target, async (sink) => {
    for await (const chunk of readChunks(source)) await sink(chunk)
  })
}

async function tryLink(source: string, target: string): Promise<boolean> {
  const temporary = temporaryName(target)
  return activeTemporary(temporary, async () => {
    const linked = await link(source, temporary).then(
      () => true,
      () => false,
    )
    if (linked) await moveInPlace(temporary, target)
    return linked
  })
}
