import type { ChatTemplate } from './chat-template.js'

/** Of a config, all that the ids and labels of a conversation depend on, beside its template and tokenizer. */
export interface TokenizationOptions {
  /** Becomes the system turn of records that have none; no turn where it is empty. */
  defaultSystem?: string | undefined
  /** Scores the last assistant turn only. */
  maskHistory?: boolean | undefined
  /** Scores all text, whoever wrote it. */
  trainOnPrompt?: boolean | undefined
  /** What templates get as `enable_thinking`. */
  enableThinking?: boolean | undefined
}

/** To be raised whenever the same records, files and options give other ids or labels than before. */
const tokenizationVersion = 1

/** The files in a model folder, beside the template, that ids depend on; the second one may be absent. */
export const tokenizerFiles = ['tokenizer.json', 'tokenizer_config.json'] as const

/**
 * All that decides which ids and labels a record gets, but for the record and the contents of {@link tokenizerFiles}: two
 * runs for which this is the same JSON tokenize the same.
 */
export function tokenizationIdentity(options: TokenizationOptions, template: ChatTemplate | undefined): Record<string, unknown> {
  return {
    version: tokenizationVersion,
    default_system: options.defaultSystem ?? '',
    mask_history: options.maskHistory ?? false,
    train_on_prompt: options.trainOnPrompt ?? false,
    enable_thinking: options.enableThinking ?? null,
    template: template === undefined ? null : { name: template.name, source: template.source },
  }
}
