/** Settings that ids and labels of a conversation depend on, beside its template and tokenizer. */
export interface TokenizationOptions {
  /** Becomes the system turn of records that have none; no turn where it is empty. */
  defaultSystem?: string | undefined
  /** Scores the last assistant turn only. */
  maskHistory?: boolean | undefined
  /** Scores all text, whoever wrote it. */
  trainOnPrompt?: boolean | undefined
  /** Value of the template variable `enable_thinking`. */
  enableThinking?: boolean | undefined
}

/** The tokenization settings of a config. */
export function tokenizationOptions(config: TokenizationOptions): TokenizationOptions {
  const { defaultSystem, maskHistory, trainOnPrompt, enableThinking } = config
  return { defaultSystem, maskHistory, trainOnPrompt, enableThinking }
}
