import { withJsonValue } from './json-edit.js'

/** The chat format that a model was trained in, where the folder that it came from says something else. */
export interface ChatMetadata {
  /** `eos_token_id` of generation_config.json: every token that ends an answer. */
  eosTokenIds?: readonly number[] | undefined
  /** `eos_token` of tokenizer_config.json and special_tokens_map.json. */
  eosToken?: string | undefined
  /** The text of chat_template.jinja, which readers prefer to the template in tokenizer_config.json. */
  chatTemplate?: string | undefined
}

export const generationConfigName = 'generation_config.json'
export const chatTemplateName = 'chat_template.jinja'

/** A file of the folder that the model came from, as the written folder has it; undefined where it is copied unchanged. */
export function changedFile(name: string, metadata: ChatMetadata): ((text: string) => string) | undefined {
  const { eosTokenIds, eosToken, chatTemplate } = metadata
  if (name === chatTemplateName && chatTemplate !== undefined) return () => chatTemplate
  if (name === generationConfigName && eosTokenIds !== undefined)
    return (text) => withJsonValue(text, 'eos_token_id', eosTokenIds)
  const namesToken = name === 'tokenizer_config.json' || name === 'special_tokens_map.json'
  return namesToken && eosToken !== undefined ? (text) => withJsonValue(text, 'eos_token', eosToken) : undefined
}

/** Files that the folder of origin (`names`) lacks. */
export function addedFiles(
  names: readonly string[],
  configText: string,
  metadata: ChatMetadata,
): { name: string; text: string }[] {
  const { eosTokenIds, chatTemplate } = metadata
  const files: { name: string; text: string }[] = []
  if (chatTemplate !== undefined) files.push({ name: chatTemplateName, text: chatTemplate })
  if (eosTokenIds !== undefined) files.push({ name: generationConfigName, text: newGenerationConfig(configText, eosTokenIds) })
  return files.filter(({ name }) => !names.includes(name))
}

/** With a generation_config.json, Transformers no longer looks into config.json for these tokens, so all of them are in it. */
function newGenerationConfig(configText: string, eosTokenIds: readonly number[]): string {
  const { bos_token_id: bos, pad_token_id: pad } = JSON.parse(configText) as Record<string, unknown>
  const config = {
    ...(bos != null && { bos_token_id: bos }),
    eos_token_id: eosTokenIds,
    ...(pad != null && { pad_token_id: pad }),
  }
  return `${JSON.stringify(config, null, 2)}\n`
}
