import { createRequire } from 'node:module'
import { NativeError } from '../errors.js'
import { packageRoot } from '../package-root.js'
import type { Addon } from './addon-types.js'

let loaded: Addon | undefined

/**
 * Loads the native addon: the build of this folder (`build/Release`), or the prebuilt one of this platform.
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
    throw new NativeError(
      'ADDON_UNAVAILABLE',
      `expected the native addon in ${packageRoot} but it does not load: ${(cause as Error).message}\n` +
        'Build it with `npm rebuild limo-native --foreground-scripts` (or `npm run build:native` in a clone); it needs a C++20 ' +
        'compiler and CMake. Where npm blocks install scripts, allow them for limo-native.',
      { packageRoot },
      { cause },
    )
  }
}
