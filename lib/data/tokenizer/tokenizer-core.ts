/** The part of a tokenizer that differs between kinds; tokenizer.ts has the common part. */
export interface TokenizerCore {
  vocabSize: number
  tokenId(token: string): number | undefined
  decode(ids: readonly number[]): string
  /** With `continues`, the text follows other text, so it gets no prefix space. */
  encode(text: string, continues: boolean): number[]
  /** Like `encode`, but special tokens are ordinary text (`encode_special_tokens` of Hugging Face's tokenizers). */
  encodePlain(text: string, continues: boolean): number[]
}
