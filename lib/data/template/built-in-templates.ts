/** A template of this package, by LLaMA-Factory's name. */
export interface BuiltInTemplate {
  source: string
  /** Tokens that a tokenizer must have for it. */
  markers: readonly string[]
}

/** Calls as Qwen writes them: JSON on a line between tags, on a new line where `said` is not empty. */
const qwenCalls = (said: string) => `
    {%- for call in message.tool_calls or [] -%}
      {%- if ${said} or not loop.first -%}{{- '\\n' -}}{%- endif -%}
      {{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' + (call.function.arguments | tojson) + '}\\n</tool_call>' -}}
    {%- endfor -%}`

/** How Qwen tells a model of its tools, in the system turn. */
const qwenTools = `
    {{- '# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\n' -}}
    {{- 'You are provided with function signatures within <tools></tools> XML tags:\\n<tools>' -}}
    {%- for tool in tools -%}{{- '\\n' + (tool | tojson) -}}{%- endfor -%}
    {{- '\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> ' -}}
    {{- 'XML tags:\\n<tool_call>\\n{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call>' -}}`

/** Results of tools as Qwen reads them: those of one assistant turn together in a user turn. */
const qwenResults = `
    {%- if loop.first or messages[loop.index0 - 1].role != 'tool' -%}{{- '<|im_start|>user' -}}{%- endif -%}
    {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' -}}
    {%- if loop.last or messages[loop.index0 + 1].role != 'tool' -%}{{- '<|im_end|>\\n' -}}{%- endif -%}`

/** ChatML with the default system prompt and tool results of Qwen2.5. */
const qwen = `
{{- '<|im_start|>system\\n' -}}
{%- if messages[0].role == 'system' -%}{{- messages[0].content -}}
{%- else -%}{{- 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' -}}
{%- endif -%}
{%- if tools -%}{{- '\\n\\n' -}}${qwenTools}{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- for message in messages -%}
  {%- if message.role == 'tool' -%}${qwenResults}
  {%- elif not (loop.first and message.role == 'system') -%}
    {{- '<|im_start|>' + message.role + '\\n' + message.content -}}${qwenCalls('message.content')}
    {{- '<|im_end|>\\n' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}`

/**
 * Sets `answer` to an assistant turn as a reasoning model writes it: with its thought where `keeps` holds, an empty one where the
 * answer has none, and without it elsewhere. `keep_thoughts` keeps those of all turns (docs/decisions/what-is-scored.md).
 */
const answerWithThought = (keeps: string) => `
    {%- set answer = message.content -%}
    {%- if '<think>' not in answer and '</think>' not in answer -%}
      {%- if loop.last or keep_thoughts -%}{%- set answer = '<think>\\n\\n</think>\\n\\n' + answer -%}{%- endif -%}
    {%- elif not (${keeps} or keep_thoughts) and '</think>' in answer -%}
      {%- set answer = answer.split('</think>')[-1].lstrip('\\n') -%}
    {%- endif -%}`

/** An empty thought in the prompt: the model answers without one. */
const noThinking = `{%- if enable_thinking is defined and enable_thinking is false -%}{{- '<think>\\n\\n</think>\\n\\n' -}}{%- endif -%}`

/** Sets `last.query` to the place of the last user turn, behind which Qwen3 keeps thoughts; results of tools are no query. */
const qwen3Query = `
{%- set last = namespace(query=messages | length - 1) -%}
{%- for message in messages -%}
  {%- set isResult = message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>') -%}
  {%- if message.role == 'user' and not isResult -%}{%- set last.query = loop.index0 -%}{%- endif -%}
{%- endfor -%}`

/** ChatML without a default system prompt, with thoughts. Calls stand right behind a thought that nothing is said after. */
const qwen3 = `${qwen3Query}
{%- set hasSystem = messages[0].role == 'system' -%}
{%- if hasSystem or tools -%}
  {{- '<|im_start|>system\\n' -}}
  {%- if hasSystem -%}{{- messages[0].content -}}{%- if tools -%}{{- '\\n\\n' -}}{%- endif -%}{%- endif -%}
  {%- if tools -%}${qwenTools}{%- endif -%}
  {{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
  {%- if message.role == 'tool' -%}${qwenResults}
  {%- elif message.role == 'assistant' -%}${answerWithThought('loop.index0 > last.query')}
    {%- set said = answer.split('</think>')[-1].strip() -%}
    {%- if message.tool_calls and '</think>' in answer and not said -%}{%- set answer = answer.rstrip() + '\\n\\n' -%}{%- endif -%}
    {{- '<|im_start|>assistant\\n' + answer -}}${qwenCalls('said')}
    {{- '<|im_end|>\\n' -}}
  {%- elif not (loop.first and hasSystem) -%}
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
const deepseekr1 = deepseek(`${answerWithThought('loop.last')}{{- '<｜Assistant｜>' + answer + eos_token -}}`, noThinking)

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
