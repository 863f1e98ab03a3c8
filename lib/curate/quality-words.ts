/** The parts of a chain's score. */
export const qualityParts = ['length', 'verification', 'exploration', 'connectives'] as const
export type QualityPart = (typeof qualityParts)[number]

/** The paper's: elaborated reasoning 30%, self-verification 20%, exploratory approach 25%, adaptive granularity 25%. */
export const defaultWeights: Record<QualityPart, number> = {
  length: 0.3,
  verification: 0.2,
  exploration: 0.25,
  connectives: 0.25,
}

/**
 * Value at which a part of the score counts in full: words, and occurrences in a thousand words. Each is about the upper
 * quartile of 150 long chains of a reasoning model (QwQ) that solved competition problems, so that a quarter of such chains
 * gets all of a part.
 */
export const defaultScales: Record<QualityPart, number> = {
  length: 1700,
  verification: 5,
  exploration: 16,
  connectives: 30,
}

/** The paper names "check" and "verify", "perhaps" and "might", "therefore" and "since"; the others are of their kind. */
export const defaultWords: Record<Exclude<QualityPart, 'length'>, readonly string[]> = {
  verification: [
    ...['check', 'checks', 'checking', 'double-check', 'recheck', 'verify', 'verifies', 'verifying', 'verification', 'confirm'],
    ...['confirms', 'make sure', 'validate', 'sanity check', 'plug back', 'substitute back', 'is this right', 'is that right'],
    ...['检查', '验证', '核实', '验算', '检验', '确认', '再看一遍'],
  ],
  exploration: [
    ...['perhaps', 'might', 'maybe', 'alternatively', 'another way', 'another approach', 'what if', 'suppose', 'could be'],
    ...['possibly', 'let me try', "let's try", 'let me think', 'wait', 'hmm', 'instead', 'consider'],
    ...['也许', '或许', '可能', '另一种', '换一种', '换个', '假设', '试试', '等等', '不妨'],
  ],
  connectives: [
    ...['therefore', 'since', 'because', 'thus', 'hence', 'so', 'then', 'which means', 'this means', 'it follows', 'implies'],
    ...['consequently', 'as a result', 'given that', 'due to'],
    ...['因此', '所以', '因为', '由于', '从而', '于是', '故', '可知', '这意味着', '由此'],
  ],
}
