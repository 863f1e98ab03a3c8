import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { NativeError } from '../../lib/errors.js'
import type { Dtype } from '../../lib/native/addon-types.js'
import { openDevice } from '../../lib/native/device.js'
import { fromBf16, roundToBf16, toBf16 } from '../ops/bf16.js'

const device = await openDevice('cpu', { threads: 1 })
const folder = await mkdtemp(join(tmpdir(), 'limo-load-'))
t.teardown(async () => {
  await device.close()
  await rm(folder, { recursive: true })
})

/** A file of these bytes, open for reading until the test ends. */
async function openFile(t: Test, bytes: Uint8Array, flags = 'r'): Promise<number> {
  const path = join(folder, `file-${Math.random()}`)
  await writeFile(path, bytes)
  const file = await open(path, flags)
  t.teardown(() => file.close())
  return file.fd
}

/** What `load` makes of a file: its numbers as the bits of float32. */
async function load(fileDescriptor: number, fileOffset: number, elements: number, dtype: Dtype): Promise<Uint32Array> {
  const arena = device.allocate(elements * 4 + 8)
  await arena.load(4, { fileDescriptor, fileOffset, elements, dtype })
  const bytes = await arena.read(0, elements * 4 + 8)
  const words = new Uint32Array(bytes.buffer)
  if (words[0] !== 0 || words.at(-1) !== 0) throw new Error('load wrote outside its range')
  return words.slice(1, -1)
}

const all16Bits = Uint16Array.from({ length: 65536 }, (_, bits) => bits)

/** IEEE 754 binary16: sign, 5 bits of exponent with bias 15, 10 bits of fraction. */
function float16(bits: number): number {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023]
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

t.test('every bfloat16', async (t) => {
  const file = await openFile(t, new Uint8Array(all16Bits.buffer))
  // bfloat16 is the upper half of a float32.
  const want = Uint32Array.from(all16Bits, (bits) => bits * 65536)
  t.ok(Buffer.from((await load(file, 0, 65536, 'bf16')).buffer).equals(Buffer.from(want.buffer)))
})

t.test('every float16', async (t) => {
  const file = await openFile(t, new Uint8Array(all16Bits.buffer))
  const got = new Float32Array((await load(file, 0, 65536, 'f16')).buffer)
  const wrong = all16Bits.filter((bits) => !Object.is(got[bits], float16(bits)))
  t.same([...wrong], [], 'zeros with their sign, subnormal, normal, infinite, not a number')
})

t.test('float32, over several windows of the file and from an odd place', async (t) => {
  // A window is 16 MiB.
  const numbers = Uint32Array.from({ length: 5_000_000 }, (_, i) => Math.imul(i, 0x9e3779b1))
  const offset = 4099
  const bytes = new Uint8Array(offset + numbers.byteLength)
  bytes.set(new Uint8Array(numbers.buffer), offset)
  const file = await openFile(t, bytes)
  t.ok(Buffer.from((await load(file, offset, numbers.length, 'f32')).buffer).equals(Buffer.from(numbers.buffer)))
  t.same(await load(file, offset + 8, 1, 'f32'), numbers.slice(2, 3), 'one number')
  t.same(await load(file, bytes.length, 0, 'f32'), new Uint32Array(0), 'no number, at the end')
})

t.test('bfloat16 over several windows', async (t) => {
  const numbers = Uint16Array.from({ length: 9_000_001 }, (_, i) => i)
  const file = await openFile(t, new Uint8Array(numbers.buffer))
  const got = await load(file, 2, 9_000_000, 'bf16')
  t.equal(
    got.findIndex((bits, i) => bits !== ((i + 1) & 65535) * 65536),
    -1,
  )
})

t.test('rounded to bfloat16, from every type', async (t) => {
  const numbers = Float32Array.from({ length: 5_000_000 }, (_, i) => Math.sin(i) * 2 ** ((i % 200) - 100))
  numbers.set([0, -0, NaN, Infinity, -Infinity, 1e-45, 3.4e38, 1 + 2 ** -8, 1 + 3 * 2 ** -8])
  const rounded = async (bytes: Uint8Array, elements: number, dtype: Dtype) => {
    const arena = device.allocate(2 * elements + 4)
    const fileDescriptor = await openFile(t, bytes)
    await arena.load(2, { fileDescriptor, fileOffset: 0, elements, dtype, to: 'bf16' })
    const words = new Uint16Array((await arena.read(0, 2 * elements + 4)).buffer)
    t.same([words[0], words.at(-1)], [0, 0], `${dtype}: nothing outside the range`)
    return words.subarray(1, -1)
  }
  t.same(await rounded(new Uint8Array(all16Bits.buffer), 65536, 'bf16'), all16Bits, 'bfloat16 as it is')
  const fromFloat32 = await rounded(new Uint8Array(numbers.buffer), numbers.length, 'f32')
  const nearest = toBf16(numbers)
  const differs = fromFloat32.findIndex((bits, i) => bits !== nearest[i])
  t.equal(differs, -1, 'float32 to the nearest, over several windows')
  const halves = Float32Array.from(all16Bits, float16)
  const fromFloat16 = await rounded(new Uint8Array(all16Bits.buffer), 65536, 'f16')
  const wrong = all16Bits.filter(
    (bits) => !Object.is(fromBf16(fromFloat16.subarray(bits, bits + 1))[0], roundToBf16([halves[bits]!])[0]),
  )
  t.same([...wrong], [], 'float16')
})

t.test('files that are too short, or no files', async (t) => {
  const arena = device.allocate(1024)
  await arena.write(0, new Uint8Array(1024).fill(7))
  const file = await openFile(t, new Uint8Array(100))
  const empty = await openFile(t, new Uint8Array(0))
  const writeOnly = await openFile(t, new Uint8Array(100), 'a')
  const directory = await open(folder)
  t.teardown(() => directory.close())
  for (const [what, fileDescriptor, fileOffset, elements, message] of [
    ['one byte too few', file, 1, 25, /expected 100 bytes at offset 1 but the file has 100 bytes/],
    ['past the end', file, 101, 0, /offset 101/],
    ['far past the end', file, 2 ** 53 - 1, 1, /but the file has 100 bytes/],
    ['empty', empty, 0, 1, /the file has 0 bytes/],
    ['not open for reading', writeOnly, 0, 1, /cannot read the file: Bad file descriptor/],
    ['a folder', directory.fd, 0, 1, /./],
    ['not open', 100_000, 0, 1, /Bad file descriptor/],
  ] as const) {
    const source = { fileDescriptor, fileOffset, elements, dtype: 'f32' as const }
    await t.rejects(arena.load(0, source), { constructor: NativeError, code: 'IO_FAILED', message }, what)
  }
  t.ok(
    (await arena.read(0, 1024)).every((byte) => byte === 7),
    'nothing was written',
  )
})

t.test('what load is asked for', async (t) => {
  const arena = device.allocate(100)
  const file = await openFile(t, new Uint8Array(1024))
  const good = { fileDescriptor: file, fileOffset: 0, elements: 1, dtype: 'f32' }
  const refuses = (what: string, offset: unknown, source: unknown, message: RegExp) =>
    t.rejects(arena.load(offset as number, source as never), { constructor: NativeError, code: 'INPUT_INVALID', message }, what)
  await refuses('too many', 0, { ...good, elements: 26 }, /arena/)
  await refuses('far too many', 0, { ...good, elements: 2 ** 53 - 1 }, /fit in the arena/)
  await refuses('past the end', 100, good, /inside the arena/)
  await refuses('between two numbers', 2, good, /multiple of 4/)
  await refuses('i32', 0, { ...good, dtype: 'i32' }, /f32, bf16 or f16/)
  for (const garbage of [undefined, null, 5, 'x', {}]) await refuses(`source ${garbage}`, 0, garbage, /expected/)
  for (const name of ['fileDescriptor', 'fileOffset', 'elements'])
    for (const value of [-1, 0.5, NaN, '0', undefined, null])
      await refuses(`${name} ${value}`, 0, { ...good, [name]: value }, new RegExp(name))
  await refuses('fileDescriptor 2^32', 0, { ...good, fileDescriptor: 2 ** 32 }, /file descriptor/)
  for (const value of ['f64', '', 5, undefined]) await refuses(`dtype ${value}`, 0, { ...good, dtype: value }, /dtype/)
  for (const value of ['f16', 'i32', 5]) await refuses(`to ${value}`, 0, { ...good, to: value }, /f32 or bf16|dtype/)
  await refuses('between two numbers of bfloat16', 1, { ...good, to: 'bf16' }, /multiple of 2/)
  for (const value of [-4, 0.5, NaN, '0']) await refuses(`offset ${value}`, value, good, /offset/)
})
