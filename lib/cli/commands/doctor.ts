import { availableParallelism, cpus, freemem, totalmem } from 'node:os'
import type { CommandModule } from 'yargs'
import { LimoError } from '../../errors.js'
import type { Addon } from '../../native/addon-types.js'
import { loadAddon } from '../../native/binding.js'
import { openDevice } from '../../native/device.js'
import { refusedProducts } from '../../native/products-check.js'
import { packageVersion } from '../../package-root.js'
import { formatBytes, formatTable } from '../format.js'

/** Each CUDA device, or why there is none: a machine without one is as healthy as any. */
async function cudaRows({ memoryBytes, reason }: ReturnType<Addon['describeCuda']>): Promise<[string, string][]> {
  if (reason !== '') return [['cuda device', `not available: ${reason}`]]
  const rows: [string, string][] = []
  for (const index of memoryBytes.keys()) {
    const name = `cuda:${index}`
    try {
      const device = await openDevice(name)
      rows.push([name, `opens: ${device.info.description}, kernels for ${device.info.instructionSet}`])
      const refused = await refusedProducts(device)
      if (refused > 0)
        rows.push([
          '',
          `${refused} of the 3 products of a layer are refused by ${device.info.description.split('; ').at(-1)}: training would be slow`,
        ])
      await device.close()
    } catch (error) {
      if (!(error instanceof LimoError)) throw error
      rows.push([name, error.message])
    }
  }
  return rows
}

export const doctorCommand: CommandModule = {
  command: 'doctor',
  describe: 'what this machine has, and why something was not found',
  builder: (yargs) => yargs.strict(),
  handler: async () => {
    const rows: [string, string][] = [
      ['limo-native', packageVersion],
      ['Node', `${process.version} on ${process.platform} ${process.arch}`],
      ['processor', `${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} threads`],
      ['memory', `${formatBytes(freemem())} free of ${formatBytes(totalmem())}`],
    ]
    let healthy = true
    try {
      const addon = loadAddon()
      const cpu = addon.describeCpu()
      const device = await openDevice('cpu')
      rows.push(['addon', 'loads'])
      rows.push(['instruction sets', `${cpu.instructionSets.join(', ')}; in use: ${device.info.instructionSet}`])
      if (cpu.notBuilt.length > 0)
        rows.push(['not built', `${cpu.notBuilt.join(', ')}, which this processor has too (limo-native build --isa all)`])
      rows.push(['cpu device', `opens with ${device.info.threads} threads`])
      await device.close()
      const cuda = addon.describeCuda(true)
      rows.push(['cuda backend', cuda.library ? 'loads' : 'not there'])
      if (cuda.library) rows.push(['cuda products', cuda.products])
      rows.push(...(await cudaRows(cuda)))
    } catch (error) {
      if (!(error instanceof LimoError)) throw error
      healthy = false
      rows.push(['addon', error.message])
    }
    console.log(formatTable(rows))
    if (!healthy) process.exitCode = 1
  },
}
