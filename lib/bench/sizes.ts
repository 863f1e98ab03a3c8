/** Shapes that operations are measured at, on one kind of device. T tokens; C, F, K, N channels; H heads of D; V vocabulary. */
export interface BenchSizes {
  /** The residual stream, of as many tokens as do not fit into a cache. */
  stream: { T: number; C: number }
  feedForward: { T: number; F: number }
  queries: { T: number; H: number; D: number }
  normedHeads: { T: number; H: number; D: number }
  embedding: { T: number; V: number; C: number }
  loss: { T: number; V: number; C: number }
  linear: { T: number; K: number; N: number }[]
  /** One causal sequence: H query heads, K key/value heads. */
  attention: { T: number; H: number; K: number; D: number }[]
  /** Numbers of a flat array, as the weights of a model: far more than a cache has. */
  flat: number
}

/** Qwen2.5-0.5B, and the query heads of Qwen3-0.6B. */
const cpu: BenchSizes = {
  stream: { T: 16384, C: 896 },
  feedForward: { T: 4096, F: 4864 },
  queries: { T: 16384, H: 14, D: 64 },
  normedHeads: { T: 8192, H: 16, D: 128 },
  embedding: { T: 16384, V: 151936, C: 896 },
  loss: { T: 512, V: 151936, C: 896 },
  // Its projections, and its vocabulary projection.
  linear: [
    { T: 512, K: 896, N: 896 },
    { T: 2048, K: 896, N: 1152 },
    { T: 2048, K: 896, N: 9728 },
    { T: 2048, K: 4864, N: 896 },
    { T: 512, K: 896, N: 151936 },
  ],
  attention: [2048, 8192, 16384].map((T) => ({ T, H: 14, K: 2, D: 64 })),
  flat: 33_333_333,
}

/**
 * Qwen2.5-1.5B at the length of LIMO's chains; attention of Qwen2.5-0.5B as well, whose heads are half as wide. What memory bounds has four
 * times as many tokens: 50 MB would lie in the cache of an H100, and be measured against its memory.
 */
const cuda: BenchSizes = {
  stream: { T: 65536, C: 1536 },
  feedForward: { T: 16384, F: 8960 },
  queries: { T: 65536, H: 12, D: 128 },
  normedHeads: { T: 65536, H: 16, D: 128 },
  embedding: { T: 65536, V: 151936, C: 1536 },
  loss: { T: 4096, V: 151936, C: 1536 },
  linear: [
    { T: 16384, K: 1536, N: 2048 },
    { T: 16384, K: 1536, N: 8960 },
    { T: 16384, K: 8960, N: 1536 },
    { T: 2048, K: 1536, N: 151936 },
  ],
  attention: [16384, 32768].flatMap((T) => [
    { T, H: 14, K: 2, D: 64 },
    { T, H: 12, K: 2, D: 128 },
  ]),
  flat: 134_217_728,
}

/** Small enough for an emulator, and for a sanitizer: it shows that a benchmark runs, not how fast anything is. */
const small: BenchSizes = {
  stream: { T: 70, C: 96 },
  feedForward: { T: 40, F: 136 },
  queries: { T: 70, H: 4, D: 32 },
  normedHeads: { T: 70, H: 4, D: 64 },
  embedding: { T: 70, V: 100, C: 48 },
  loss: { T: 210, V: 120, C: 64 },
  linear: [{ T: 70, K: 64, N: 80 }],
  attention: [
    { T: 200, H: 4, K: 2, D: 64 },
    { T: 150, H: 2, K: 1, D: 128 },
  ],
  flat: 30_001,
}

/** The sizes that suit a device, by its name. */
export type BenchScale = 'cpu' | 'cuda' | 'small'

export function scaleOf(device: string): BenchScale {
  if (device === 'cpu') return 'cpu'
  return device === 'cuda-emulated' ? 'small' : 'cuda'
}

export const benchSizes: Readonly<Record<BenchScale, BenchSizes>> = { cpu, cuda, small }
