import { availableParallelism, cpus, freemem, totalmem } from 'node:os'
import type { CommandModule } from 'yargs'
import { LimoError } from '../../errors.js'
import { loadAddon } from '../../native/binding.js'
import { openDevice } from '../../native/device.js'
import { packageVersion } from '../../package-root.js'
import { formatBytes, formatTable } from '../format.js'

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
      rows.push(['cpu device', `opens with ${device.info.threads} threads`])
      await device.close()
      const cuda = addon.describeCuda()
      const driver = cuda.driver ? `NVIDIA driver with ${cuda.devices} ${cuda.devices === 1 ? 'device' : 'devices'}` : cuda.reason
      rows.push(['cuda device', `not available: this build has no CUDA backend; ${driver}`])
    } catch (error) {
      if (!(error instanceof LimoError)) throw error
      healthy = false
      rows.push(['addon', error.message])
    }
    console.log(formatTable(rows))
    if (!healthy) process.exitCode = 1
  },
}
