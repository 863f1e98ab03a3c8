import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

function findPackageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (dirname(folder) !== folder) {
    const file = join(folder, 'package.json')
    if (existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).name === 'limo-native') return folder
    folder = dirname(folder)
  }
  return folder
}

/** The folder of this package: of a clone, or inside node_modules. */
export const packageRoot: string = findPackageRoot()

const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8'))

/** The version in package.json. */
export const packageVersion: string = manifest.version

/** The libraries in package.json, with their versions. */
export const packageDependencies: Readonly<Record<string, string>> = manifest.dependencies
