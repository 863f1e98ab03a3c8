// npm run check:cuda: compiles the attention kernels for both kinds of device with nvcc, where there is one (no device is needed),
// and looks at what became of them: that ptxas had the registers to keep wgmma asynchronous, that nothing is spilled, and
// that the machine code has the matrix and copy instructions it should have. A kernel that lost them still gives right numbers.
//
// nvcc: $NVCC, or that of the PATH, or $CUDA_HOME/bin/nvcc.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findNvcc } from './tools.mjs'

const source = 'native/ops/attention_cuda.cu'

const targets = {
  sm_80: ['-gencode=arch=compute_80,code=sm_80'],
  sm_90a: ['-gencode=arch=compute_90a,code=sm_90a'],
}

// The lower 12 bits of an instruction's 128. HGMMA is wgmma, its first operand from shared memory (SS) or registers (RS); UTMALDG is
// a load by TMA; HMMA is mma.sync (16 × 8, over 16).
const opcodes = { HMMA: 0x23c, 'HGMMA SS': 0x9f0, 'HGMMA RS': 0xdf0, UTMALDG: 0x5b4 }

const expected = {
  sm_80: {
    'sm80::attention_forward_kernel<64>': { HMMA: 128, spills: 0 },
    'sm80::attention_forward_kernel<128>': { HMMA: 256, spills: 0 },
    'sm80::attention_backward_keys_kernel<64>': { HMMA: 128, spills: 0 },
    'sm80::attention_backward_keys_kernel<128>': { HMMA: 256, spills: 0 },
    'sm80::attention_backward_queries_kernel<64>': { HMMA: 96, spills: 0 },
    'sm80::attention_backward_queries_kernel<128>': { HMMA: 192, spills: 0 },
  },
  sm_90a: {
    // Scores: before the loop over keys, and in it. Values: in the loop, and after it. Loads: queries, keys, values.
    'sm90::attention_forward_kernel<64>': { 'HGMMA SS': 2 * 4, 'HGMMA RS': 2 * 8, UTMALDG: 3, spills: 0 },
    'sm90::attention_forward_kernel<128>': { 'HGMMA SS': 2 * 8, 'HGMMA RS': 2 * 8, UTMALDG: 6, spills: 0 },
    // Scores and d_p; d_v and d_k, over 128 and 64 queries. Loads: keys and values, queries and d_out.
    'sm90::attention_backward_keys_kernel<64>': { 'HGMMA SS': 2 * 4, 'HGMMA RS': 2 * 8, UTMALDG: 4, spills: 0 },
    'sm90::attention_backward_keys_kernel<128>': { 'HGMMA SS': 2 * 8, 'HGMMA RS': 2 * 4, UTMALDG: 8, spills: 0 },
    // Scores and d_p; d_q, over 128 keys. Loads: queries and d_out, keys and values.
    'sm90::attention_backward_queries_kernel<64>': { 'HGMMA SS': 2 * 4, 'HGMMA RS': 8, UTMALDG: 4, spills: 0 },
    'sm90::attention_backward_queries_kernel<128>': { 'HGMMA SS': 2 * 8, 'HGMMA RS': 8, UTMALDG: 8, spills: 0 },
    // For heads that TMA cannot load.
    'sm80::attention_forward_kernel<64>': { HMMA: 128, spills: 0 },
    'sm80::attention_forward_kernel<128>': { HMMA: 256, spills: 40 },
    'sm80::attention_backward_keys_kernel<64>': { HMMA: 128, spills: 8 },
    'sm80::attention_backward_keys_kernel<128>': { HMMA: 256, spills: 20 },
    'sm80::attention_backward_queries_kernel<64>': { HMMA: 96, spills: 0 },
    'sm80::attention_backward_queries_kernel<128>': { HMMA: 192, spills: 0 },
  },
}

const nvcc = findNvcc()
if (nvcc === undefined) {
  console.log('skipped: no nvcc')
  process.exit(0)
}
const problems = []
const folder = mkdtempSync(join(tmpdir(), 'limo-cuda-'))
try {
  for (const target of Object.keys(targets)) checkTarget(target)
} finally {
  rmSync(folder, { recursive: true })
}
for (const problem of problems) console.error(`not ok ${problem}`)
console.log(`cuda: ${source}: ${problems.length === 0 ? 'as expected' : `problems: ${problems.length}`}`)
process.exit(problems.length === 0 ? 0 : 1)

function checkTarget(target) {
  const cubin = join(folder, `${target}.cubin`)
  const options = ['-std=c++20', '-O3', '-Inative', ...targets[target], '-Xptxas', '-v', '-cubin', '-o', cubin]
  const { status, stderr, stdout } = spawnSync(nvcc, [...options, source], { encoding: 'utf8' })
  if (status !== 0) {
    problems.push(`${target}: nvcc failed\n${stdout}${stderr}`)
    return
  }
  const { kernels, warnings } = parseReport(stderr + stdout)
  problems.push(...warnings.map((warning) => `${target}: ${warning}`))
  const rows = countInstructions(readFileSync(cubin)).map(({ symbol, instructions, counts }) => {
    const name = kernelName(symbol)
    const { registers, spills } = kernels.get(symbol) ?? {}
    compare(`${target}: ${name}`, { ...counts, spills }, expected[target][name])
    return { target, kernel: name, registers, spills, instructions, ...counts }
  })
  for (const name of Object.keys(expected[target]))
    if (!rows.some((row) => row.kernel === name)) problems.push(`${target}: expected a kernel ${name} but received none`)
  console.table(rows)
}

/** What ptxas says of each kernel, by symbol, and what it warns of wgmma and setmaxnreg. */
function parseReport(report) {
  const kernels = new Map()
  let kernel = {}
  for (const line of report.split('\n')) {
    const symbol = /Compiling entry function '(\S+)'/.exec(line)?.[1]
    if (symbol) {
      kernel = {}
      kernels.set(symbol, kernel)
    }
    const spills = /(\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line)
    if (spills) kernel.spills = Math.max(Number(spills[1]), Number(spills[2]))
    const registers = /Used (\d+) registers/.exec(line)
    if (registers) kernel.registers = Number(registers[1])
  }
  // wgmma that is serialized (C7510 and others near it), warpgroup.arrive that ptxas had to add (C7519), setmaxnreg ignored (C7508)
  return { kernels, warnings: report.split('\n').filter((line) => /\(C75\d\d\)/.test(line)) }
}

function compare(place, received, wanted) {
  if (wanted === undefined) {
    const found = Object.keys(opcodes).filter((name) => received[name] > 0)
    if (found.length > 0) problems.push(`${place}: expected an entry in the table of ${found.join(', ')} but received none`)
    return
  }
  for (const name of Object.keys(opcodes))
    if (received[name] !== (wanted[name] ?? 0))
      problems.push(`${place}: expected ${wanted[name] ?? 0} of ${name} but received ${received[name]}`)
  if (!(received.spills <= wanted.spills))
    problems.push(`${place}: expected at most ${wanted.spills} bytes of spills but received ${received.spills}`)
}

/** `_ZN4limo4cuda4sm904nameILi64ELi2EEEv…` → `sm90::name<64, 2>` */
function kernelName(symbol) {
  const parts = []
  let rest = symbol.replace(/^_ZN?/, '')
  for (let length = /^L?(\d+)/.exec(rest); length; length = /^L?(\d+)/.exec(rest)) {
    const start = length[0].length
    parts.push(rest.slice(start, start + Number(length[1])))
    rest = rest.slice(start + Number(length[1]))
  }
  const values = /^I((?:L\w\d+E)+)E/.exec(rest)?.[1].match(/\d+/g)
  return parts.slice(-2).join('::') + (values ? `<${values.join(', ')}>` : '')
}

/** The kernels of a cubin, an ELF file of 64 bits: a kernel is a section .text.SYMBOL, an instruction 16 bytes. */
function countInstructions(cubin) {
  const sections = Number(cubin.readBigUInt64LE(0x28))
  const [size, count, names] = [cubin.readUInt16LE(0x3a), cubin.readUInt16LE(0x3c), cubin.readUInt16LE(0x3e)]
  const read = (number) => {
    const header = sections + number * size
    const offset = Number(cubin.readBigUInt64LE(header + 0x18))
    return { name: cubin.readUInt32LE(header), offset, end: offset + Number(cubin.readBigUInt64LE(header + 0x20)) }
  }
  const strings = read(names)
  const kernels = []
  for (let number = 0; number < count; ++number) {
    const { name, offset, end } = read(number)
    const start = strings.offset + name
    const title = cubin.toString('latin1', start, cubin.indexOf(0, start))
    if (!title.startsWith('.text.')) continue
    const counts = Object.fromEntries(Object.keys(opcodes).map((opcode) => [opcode, 0]))
    for (let at = offset; at < end; at += 16) {
      const opcode = Object.keys(opcodes).find((key) => opcodes[key] === (cubin.readUInt16LE(at) & 0xfff))
      if (opcode) ++counts[opcode]
    }
    kernels.push({ symbol: title.slice('.text.'.length), instructions: (end - offset) / 16, counts })
  }
  return kernels
}
