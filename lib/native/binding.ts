import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { NativeError } from '../errors.js'
import { packageRoot } from '../package-root.js'
import type { Addon } from './addon-types.js'

let loaded: Addon | undefined

/**
 * Loads the native addon: the build of this folder (`build/Release`), or the prebuilt one of this platform (`prebuilds/`).
 *
 * @throws NativeError ADDON_UNAVAILABLE when neither is there or loads.
 */
export function loadAddon(): Addon {
  if (loaded) return loaded
  const require = createRequire(import.meta.url)
  try {
    loaded = require('node-gyp-build')(packageRoot) as Addon
    return loaded
  } catch (cause) {
    const platform = thisPlatform()
    const platforms = prebuiltPlatforms()
    const has = platforms.length > 0 ? `it has binaries for ${platforms.join(' and ')}` : 'it has no binaries'
    // node-gyp-build has looked in vain, or what it found does not load: then the reason is the loader's.
    const isMissing = (cause as Error).message.startsWith('No native build was found')
    throw new NativeError(
      'ADDON_UNAVAILABLE',
      `expected a native addon for ${platform} in ${packageRoot} but ${isMissing ? has : `it does not load: ${(cause as Error).message}`}. ` +
        'Build it from the sources that are there: npx limo-native build (in a clone, npm run build:native). It needs a C++20 ' +
        'compiler, CMake, and make or ninja',
      { packageRoot, platform, platforms },
      { cause },
    )
  }
}

/** As `linux-x64`, with the C library where it is not glibc, which the binaries are for. */
function thisPlatform(): string {
  const platform = `${process.platform}-${process.arch}`
  if (process.platform !== 'linux') return platform
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  return header.glibcVersionRuntime === undefined ? `${platform} with musl` : platform
}

function prebuiltPlatforms(): string[] {
  const folder = join(packageRoot, 'prebuilds')
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => /^\w+-\w+$/.test(name))
    .map((name) => `${name} with glibc`)
}
