import type { Merge } from '../data/tokenizer/byte-level/merge-trainer.js'
import { qwen2Pattern } from '../data/tokenizer/byte-level/pre-tokens.js'

/** The files of a Hugging Face tokenizer, as JSON. */
export interface TokenizerJson {
  tokenizerJson: Record<string, unknown>
  tokenizerConfigJson: Record<string, unknown>
}

const specialTokens = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']

const chatTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

/**
 * A tokenizer whose tokens are the 256 bytes of UTF-8 (a token's id is its byte), then what `merges` make, then `<|endoftext|>`,
 * `<|im_start|>` and `<|im_end|>`: byte-level BPE with Qwen2's normalizer and splitting pattern and a ChatML template. It has nothing that
 * is not in its vocabulary and its merges, so that programs which know Qwen2's rules and read no more of the file (Transformers 5 does for
 * `model_type: qwen2`, llama.cpp) give the same ids.
 */
export function byteLevelTokenizer(merges: readonly Merge[] = []): TokenizerJson {
  const addedToken = (content: string) => ({
    content,
    lstrip: false,
    normalized: false,
    rstrip: false,
    single_word: false,
    special: true,
  })
  const added = specialTokens.map((content, i) => ({ id: 256 + merges.length + i, ...addedToken(content) }))
  const tokens = byteCharacters()
  const written = merges.map(([left, right]) => {
    const pair = [tokens[left]!, tokens[right]!]
    tokens.push(pair.join(''))
    return pair.join(' ')
  })
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false }
  const split = { type: 'Split', pattern: { Regex: qwen2Pattern }, behavior: 'Isolated', invert: false }
  return {
    tokenizerJson: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer: { type: 'NFC' },
      pre_tokenizer: { type: 'Sequence', pretokenizers: [split, byteLevel] },
      post_processor: null,
      decoder: byteLevel,
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges: written,
      },
    },
    tokenizerConfigJson: {
      add_bos_token: false,
      add_prefix_space: false,
      added_tokens_decoder: Object.fromEntries(added.map(({ id, ...token }) => [id, token])),
      additional_special_tokens: specialTokens.slice(1),
      bos_token: null,
      chat_template: chatTemplate,
      clean_up_tokenization_spaces: false,
      eos_token: '<|im_end|>',
      errors: 'replace',
      model_max_length: 4096,
      pad_token: '<|endoftext|>',
      split_special_tokens: false,
      tokenizer_class: 'PreTrainedTokenizerFast',
      unk_token: null,
    },
  }
}

/**
 * The character that stands for each byte in a byte-level vocabulary (GPT-2's `bytes_to_unicode`): printable Latin-1 for
 * itself, every other byte for the next character from U+0100 on.
 */
function byteCharacters(): string[] {
  const isPrintable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff)
  let next = 0x100
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++))
}

/** The files of {@link byteLevelTokenizer} as they lie in a model folder, by name. */
export function byteLevelTokenizerFiles(merges: readonly Merge[] = []): Record<string, string> {
  const { tokenizerJson, tokenizerConfigJson } = byteLevelTokenizer(merges)
  return {
    'tokenizer.json': `${JSON.stringify(tokenizerJson, null, 2)}\n`,
    'tokenizer_config.json': `${JSON.stringify(tokenizerConfigJson, null, 2)}\n`,
  }
}
