#!/usr/bin/env node
import { hideBin } from 'yargs/helpers'
import { run } from './run.js'

// A reader that has seen enough (`| head`) is no error, and no reason to end a training run.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

await run(hideBin(process.argv))
