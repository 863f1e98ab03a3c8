import { createHash } from 'node:crypto'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isWeightsFile } from '../checkpoint/model-folder.js'

/** Samples of a file of weights, in bytes, and their number: training changes all of them. */
const PIECE = 1 << 16
const PIECES = 16

/** Fingerprint of a model folder: its config, tokenizer and template, and samples of its weights. */
export async function modelDigest(folder: string): Promise<string> {
  const hash = createHash('sha256')
  const names = (await readdir(folder)).filter((name) => isWeightsFile(name) || /\.(json|jinja)$/.test(name)).sort()
  const piece = new Uint8Array(PIECE)
  for (const name of names) {
    const file = await open(join(folder, name), 'r')
    try {
      const { size } = await file.stat()
      hash.update(`${name}\0${size}\0`)
      for (let i = 0; i < PIECES; i++) {
        const { bytesRead } = await file.read(piece, 0, PIECE, Math.floor((Math.max(0, size - PIECE) * i) / (PIECES - 1)))
        hash.update(piece.subarray(0, bytesRead))
        if (size <= PIECE) break
      }
    } finally {
      await file.close()
    }
  }
  return hash.digest('hex')
}
