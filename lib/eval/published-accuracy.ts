/**
 * Published accuracies, of Qwen2.5-32B-Instruct fine-tuned on LIMO's 817 chains: Ye et al., "LIMO: Less is More for
 * Reasoning", arXiv:2502.03387v1, by the names that the benchmarks' files have.
 */
const limo = [
  { names: /^aime(?:[-_]?(?:20)?24)?$/, accuracy: 0.571 },
  { names: /^math(?:[-_]?500)?$/, accuracy: 0.948 },
  { names: /^amc(?:[-_]?(?:20)?23)?$/, accuracy: 0.92 },
  { names: /^olympiad[-_]?bench$/, accuracy: 0.668 },
  { names: /^minerva(?:[-_]?math)?$/, accuracy: 0.449 },
]

/** LIMO's own number for a benchmark of that name, as a share; undefined for others. */
export function publishedAccuracy(benchmark: string): number | undefined {
  return limo.find(({ names }) => names.test(benchmark.toLowerCase()))?.accuracy
}
