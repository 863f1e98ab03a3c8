import type { Argv, CommandModule } from 'yargs'
import { configSchema, exampleConfig } from '../../config/example-config.js'

export const configCommand: CommandModule<object, { schema: boolean }> = {
  command: 'config',
  describe: 'a training config to begin with: every key, what it does and what it is when left out',
  builder: (yargs: Argv) =>
    yargs
      .option('schema', { type: 'boolean', default: false, describe: 'print the JSON schema of the config, for editors' })
      .strict()
      .example('$0 config > train.yaml', 'a file to change')
      .example('$0 config --schema > train.schema.json', 'completion in an editor'),
  handler: ({ schema }) => {
    process.stdout.write(schema ? `${JSON.stringify(configSchema(), null, 2)}\n` : exampleConfig())
  },
}
