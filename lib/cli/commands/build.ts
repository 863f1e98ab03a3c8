import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { CommandModule } from 'yargs'
import { NativeError } from '../../errors.js'
import { packageRoot } from '../../package-root.js'

interface BuildArguments {
  isa: string | undefined
  cuda: string | undefined
}

/** Builds the addon of this package where it lies: for a platform that no binary was published for, or for a GPU's nvcc at hand. */
export const buildCommand: CommandModule<object, BuildArguments> = {
  command: 'build',
  describe: 'builds the native addon from the package’s own sources',
  builder: (yargs) =>
    yargs
      .strict()
      .option('isa', { type: 'string', describe: 'instruction sets: native (the default), all, or a list as avx2,avx512' })
      .option('cuda', {
        choices: ['auto', 'on', 'off'],
        describe: 'the CUDA backend: where there is a driver (the default), yes, no',
      }),
  handler: ({ isa, cuda }) => {
    const environment = {
      ...(isa !== undefined && { LIMO_ISA: isa }),
      ...(cuda !== undefined && { LIMO_CUDA: cuda.toUpperCase() }),
    }
    const { status } = spawnSync(process.execPath, [join(packageRoot, 'native', 'build.cjs'), '--describe'], {
      stdio: 'inherit',
      env: { ...process.env, ...environment },
    })
    if (status === 0) return
    throw new NativeError(
      'ADDON_UNAVAILABLE',
      `expected the addon of ${packageRoot} to build but it did not: see above. It needs a C++20 compiler, CMake 3.22 or later, and make ` +
        'or ninja (on Debian or Ubuntu: apt-get install cmake g++ make), and a package folder that can be written',
      { packageRoot },
    )
  },
}
