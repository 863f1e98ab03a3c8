/** Shares of right answers that LIMO's authors published, by the version of their paper. */
export interface PublishedAccuracy {
  /** 817 chains, February 2025. */
  v1: number
  /** 800 chains (LIMO-v2), July 2025. */
  v3: number
}

/**
 * The ten benchmarks of LIMO's repository by the names of their files there, and other usual names: accuracies of Qwen2.5-32B-Instruct
 * fine-tuned on LIMO's chains, of Ye et al., "LIMO: Less is More for Reasoning", arXiv:2502.03387, v1 and v3. Their means are 72.8%
 * and 78.1%.
 */
const limo: { names: RegExp; percent: [v1: number, v3: number] }[] = [
  { names: /^aime(?:[-_]?(?:20)?24)?$/, percent: [57.1, 63.3] },
  { names: /^math(?:[-_]?500)?$/, percent: [94.8, 95.6] },
  { names: /^amc(?:[-_]?(?:20)?23)?$/, percent: [92.0, 96.3] },
  { names: /^olympiad[-_]?bench$/, percent: [66.8, 67.6] },
  { names: /^(?:cn|ch)[-_]?math(?:[-_]?(?:20)?24)?$/, percent: [75.4, 84.2] },
  { names: /^gaokao(?:[-_]?(?:20)?24)?$/, percent: [81.0, 91.1] },
  { names: /^kaoyan$/, percent: [73.4, 83.9] },
  { names: /^grade[-_]?school(?:[-_]?math)?$/, percent: [76.2, 76.2] },
  { names: /^minerva(?:[-_]?math)?$/, percent: [44.9, 52.2] },
  { names: /^gpqa(?:[-_]?diamond)?$/, percent: [66.7, 70.7] },
]

/** LIMO's own numbers for a benchmark of that name; undefined for others. */
export function publishedAccuracy(benchmark: string): PublishedAccuracy | undefined {
  const found = limo.find(({ names }) => names.test(benchmark.toLowerCase()))
  if (found === undefined) return undefined
  const [v1, v3] = found.percent.map((percent) => Math.round(percent * 10) / 1000) as [number, number]
  return { v1, v3 }
}
