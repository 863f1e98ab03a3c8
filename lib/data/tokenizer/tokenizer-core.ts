/**
 * What comes before a text that is tokenized: nothing, an added token, or other text. Tokenizers of SentencePiece's kind put a space
 * before a text that begins, some of them also before one that follows an added token.
 */
export type Before = 'nothing' | 'token' | 'text'

/** The part of a tokenizer that differs between kinds; tokenizer.ts has the common part. */
export interface TokenizerCore {
  vocabSize: number
  tokenId(token: string): number | undefined
  decode(ids: readonly number[]): string
  encode(text: string, before: Before): number[]
  /** Like `encode`, but special tokens are ordinary text (`encode_special_tokens` of Hugging Face's tokenizers). */
  encodePlain(text: string, before: Before): number[]
}
