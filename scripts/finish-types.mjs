// After tsc: the command can be executed, and there is a copy of the declarations that CommonJS projects may import. TypeScript takes a
// declaration for a module of the kind that the nearest package.json names, and refuses to `require` one of ES modules; Node itself does it.
import { chmodSync, cpSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = join('dist', 'types-for-commonjs')
chmodSync(join('dist', 'lib', 'cli', 'main.js'), 0o755)
rmSync(folder, { recursive: true, force: true })
cpSync(join('dist', 'lib'), folder, {
  recursive: true,
  filter: (path) => path !== join('dist', 'lib', 'cli') && (path.endsWith('.d.ts') || statSync(path).isDirectory()),
})
writeFileSync(join(folder, 'package.json'), '{ "type": "commonjs" }\n')
