/**
 * Published accuracies in percent, of Qwen2.5-32B-Instruct fine-tuned on LIMO's 817 chains: Ye et al., "LIMO: Less is More for
 * Reasoning", arXiv:2502.03387v1, by the names of the authors' files.
 */
const limo: Readonly<Record<string, number>> = { aime: 57.1, math: 94.8, amc: 92.0, olympiadbench: 66.8, minerva: 44.9 }

/** LIMO's own number for a benchmark of that name, as a share. */
export function publishedAccuracy(benchmark: string): number | undefined {
  const name = benchmark.toLowerCase()
  const known = Object.keys(limo).find(
    (key) => name === key || name.startsWith(`${key}-`) || name.startsWith(`${key}_`) || (key !== 'math' && name.startsWith(key)),
  )
  const percent = known === undefined ? (name === 'math500' ? limo.math : undefined) : limo[known]
  return percent === undefined ? undefined : percent / 100
}
