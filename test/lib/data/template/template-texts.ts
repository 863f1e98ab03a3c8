import type { Turn } from '../../../../lib/data/records.js'
import type { ChatTemplate, RenderOptions } from '../../../../lib/data/template/chat-template.js'

export const user = (content: string): Turn => ({ role: 'user', content })
export const system = (content: string): Turn => ({ role: 'system', content })
export const assistant = (content: string, more: Partial<Turn> = {}): Turn => ({ role: 'assistant', content, ...more })
export const tool = (content: string): Turn => ({ role: 'tool', content })

/** The text with what is scored in ⟦brackets⟧. */
export function marked(template: ChatTemplate, turns: Turn[], options?: RenderOptions): string {
  const { segments } = template.render(turns, 'chains.jsonl:1', options)
  return segments.map((segment) => (segment.scored ? `⟦${segment.text}⟧` : segment.text)).join('')
}

/**
 * DeepSeek-R1-Distill's format, in few words: texts without line breaks between turns, thoughts cut off assistant turns, a thought
 * opened in the generation prompt.
 */
export const distillTemplate =
  '{{ bos_token }}{% for m in messages %}' +
  "{% if m.role == 'system' %}{{ m.content }}{% endif %}" +
  "{% if m.role == 'user' %}{{ '<｜User｜>' + m.content }}{% endif %}" +
  "{% if m.role == 'assistant' and m.content is not none %}{% set text = m.content %}" +
  "{% if '</think>' in text %}{% set text = text.split('</think>')[-1] %}{% endif %}" +
  "{{ '<｜Assistant｜>' + text + '<｜end▁of▁sentence｜>' }}{% endif %}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\n' }}{% endif %}"

/** The template of Qwen3 with a thought opened in the generation prompt, as Qwen3-Thinking-2507 and QwQ have it. */
export function openingThought(qwen3: string): string {
  const at = qwen3.lastIndexOf("{{- '<|im_start|>assistant\\n' }}")
  return `${qwen3.slice(0, at)}{{- '<|im_start|>assistant\\n<think>\\n' }}\n{%- endif %}`
}
