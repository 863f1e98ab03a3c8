/** A template of this package, by LLaMA-Factory's name. */
export interface BuiltInTemplate {
  source: string
  /** Tokens that a tokenizer must have for it. */
  markers: readonly string[]
}

/** A call as Qwen writes it: JSON on a line between tags. */
const qwenCalls = `
    {%- for call in message.tool_calls or [] -%}
      {%- if message.content or not loop.first -%}{{- '\\n' -}}{%- endif -%}
      {{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' + (call.function.arguments | tojson) + '}\\n</tool_call>' -}}
    {%- endfor -%}`

/** Results of tools as Qwen reads them: those of one assistant turn together in a user turn. */
const qwenResults = `
    {%- if loop.first or messages[loop.index0 - 1].role != 'tool' -%}{{- '<|im_start|>user' -}}{%- endif -%}
    {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' -}}
    {%- if loop.last or messages[loop.index0 + 1].role != 'tool' -%}{{- '<|im_end|>\\n' -}}{%- endif -%}`

/** ChatML with the default system prompt and tool results of Qwen2.5. */
const qwen = `
{%- if messages[0].role != 'system' -%}
  {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
  {%- if message.role == 'tool' -%}${qwenResults}
  {%- else -%}
    {{- '<|im_start|>' + message.role + '\\n' + message.content -}}${qwenCalls}
    {{- '<|im_end|>\\n' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}`

/**
 * Sets `answer` to an assistant turn as a reasoning model writes it: the last one as it stands, with an empty thought where it has
 * none, and earlier ones without their thoughts.
 */
const answerWithThought = `
    {%- set answer = message.content -%}
    {%- if loop.last and '<think>' not in answer and '</think>' not in answer -%}
      {%- set answer = '<think>\\n\\n</think>\\n\\n' + answer -%}
    {%- elif not loop.last and '</think>' in answer -%}
      {%- set answer = answer.split('</think>')[-1].lstrip('\\n') -%}
    {%- endif -%}`

/** An empty thought in the prompt: the model answers without one. */
const noThinking = `{%- if enable_thinking is defined and enable_thinking is false -%}{{- '<think>\\n\\n</think>\\n\\n' -}}{%- endif -%}`

/** ChatML without a default system prompt, with thoughts. */
const qwen3 = `
{%- for message in messages -%}
  {%- if message.role == 'tool' -%}${qwenResults}
  {%- elif message.role == 'assistant' -%}${answerWithThought}
    {{- '<|im_start|>assistant\\n' + answer -}}${qwenCalls}
    {{- '<|im_end|>\\n' -}}
  {%- else -%}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}${noThinking}{%- endif -%}`

/** Llama 3: headers, texts that stay as they are, tools as ipython. A call is JSON; several are a list. */
const llama3 = `
{{- bos_token -}}
{%- for message in messages -%}
  {%- set role = 'ipython' if message.role == 'tool' else message.role -%}
  {{- '<|start_header_id|>' + role + '<|end_header_id|>\\n\\n' + message.content -}}
  {%- if message.tool_calls -%}
    {%- if message.tool_calls | length > 1 -%}{{- '[' -}}{%- endif -%}
    {%- for call in message.tool_calls -%}
      {%- if not loop.first -%}{{- ', ' -}}{%- endif -%}
      {{- '{"name": "' + call.function.name + '", "parameters": ' + (call.function.arguments | tojson) + '}' -}}
    {%- endfor -%}
    {%- if message.tool_calls | length > 1 -%}{{- ']' -}}{%- endif -%}
  {%- endif -%}
  {{- '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}`

/** Tool results are the user's in LLaMA-Factory's template, as in its default for templates that name no other way. */
const deepseek = (assistant: string, prompt: string) => `
{{- bos_token -}}
{%- for message in messages -%}
  {%- if message.role == 'system' -%}{{- message.content -}}
  {%- elif message.role == 'assistant' -%}${assistant}
  {%- else -%}{{- '<｜User｜>' + message.content -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<｜Assistant｜>' -}}${prompt}{%- endif -%}`

const deepseek3 = deepseek("{{- '<｜Assistant｜>' + message.content + eos_token -}}", '')
const deepseekr1 = deepseek(`${answerWithThought}{{- '<｜Assistant｜>' + answer + eos_token -}}`, noThinking)

/** Headers in words, for a base model without tokens of a chat. */
const plainText = `
{%- for message in messages -%}
  {%- if message.role == 'system' -%}{{- 'System: ' + message.content + eos_token + '\\n' -}}
  {%- elif message.role == 'assistant' -%}{{- '\\nAssistant:' + message.content + eos_token + '\\n' -}}
  {%- else -%}{{- 'Human: ' + message.content + eos_token -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '\\nAssistant:' -}}{%- endif -%}`

/** Texts one after another, and nothing that ends a turn. */
const empty = `{%- for message in messages -%}{{- message.content -}}{%- endfor -%}`

const chatMl = ['<|im_start|>', '<|im_end|>']

/** LLaMA-Factory's templates for the families that are trained here, in its formats. */
export const builtInTemplates: Readonly<Record<string, BuiltInTemplate>> = {
  qwen: { source: qwen, markers: chatMl },
  qwen3: { source: qwen3, markers: chatMl },
  llama3: { source: llama3, markers: ['<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>'] },
  deepseek3: { source: deepseek3, markers: ['<｜User｜>', '<｜Assistant｜>'] },
  deepseekr1: { source: deepseekr1, markers: ['<｜User｜>', '<｜Assistant｜>'] },
  default: { source: plainText, markers: [] },
  empty: { source: empty, markers: [] },
}
