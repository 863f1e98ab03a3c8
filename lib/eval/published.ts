/**
 * Published accuracies in percent, of Qwen2.5-32B-Instruct fine-tuned on LIMO's 817 chains: Ye et al., "LIMO: Less is More for
 * Reasoning", arXiv:2502.03387v1, by the names that the benchmarks' files have.
 */
const limo = [
  { names: /^aime(?:[-_]?(?:20)?24)?$/, percent: 57.1 },
  { names: /^math(?:[-_]?500)?$/, percent: 94.8 },
  { names: /^amc(?:[-_]?(?:20)?23)?$/, percent: 92.0 },
  { names: /^olympiad[-_]?bench$/, percent: 66.8 },
  { names: /^minerva(?:[-_]?math)?$/, percent: 44.9 },
]

/** LIMO's own number for a benchmark of that name, as a share; undefined for others. */
export function publishedAccuracy(benchmark: string): number | undefined {
  const known = limo.find(({ names }) => names.test(benchmark.toLowerCase()))
  return known && known.percent / 100
}
