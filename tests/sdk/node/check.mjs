// The Node SDKs: each client protocol before each route protocol, whole and streamed, as pairings.py does it in Python.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const expected = JSON.parse(readFileSync(new URL("turns.json", import.meta.url)));
const { tool, calls, results, usage } = expected;
const limits = { apiKey: process.env.CLIENT_KEY, maxRetries: 0, timeout: 15_000 };
const clients = {
  openai: new OpenAI({ baseURL: `${process.env.GATEWAY_URL}/v1`, ...limits }),
  anthropic: new Anthropic({ baseURL: process.env.GATEWAY_URL, ...limits }),
};

async function openaiTurn(streamed, body) {
  const completions = clients.openai.chat.completions;
  const completion = streamed
    ? await completions.stream({ ...body, stream_options: { include_usage: true } }).finalChatCompletion()
    : await completions.create(body);
  const [{ message, finish_reason }] = completion.choices;
  assert.equal(finish_reason, message.tool_calls?.length ? "tool_calls" : "stop");
  assert.equal(completion.usage.prompt_tokens, usage.input);
  assert.equal(completion.usage.completion_tokens, usage.output);
  return message;
}

async function openai(model, streamed) {
  const { name, description, schema: parameters } = tool;
  const tools = [{ type: "function", function: { name, description, parameters } }];
  const messages = [{ role: "user", content: expected.question }];
  const first = await openaiTurn(streamed, { model, tools, messages });
  assert.equal(first.content, expected.text);
  const called = first.tool_calls.map((call) => ({
    id: call.id,
    name: call.function.name,
    input: JSON.parse(call.function.arguments),
  }));
  assert.deepEqual(called, calls);
  messages.push(first);
  results.forEach((content, at) => messages.push({ role: "tool", tool_call_id: calls[at].id, content }));
  const second = await openaiTurn(streamed, { model, tools, messages });
  assert.equal(second.content, expected.final);
  assert.ok(!second.tool_calls?.length);
}

async function anthropicTurn(streamed, body) {
  const { messages } = clients.anthropic;
  const message = streamed ? await messages.stream(body).finalMessage() : await messages.create(body);
  const called = message.content.some((block) => block.type === "tool_use");
  assert.equal(message.stop_reason, called ? "tool_use" : "end_turn");
  assert.equal(message.usage.input_tokens, usage.input);
  assert.equal(message.usage.output_tokens, usage.output);
  return message.content;
}

async function anthropic(model, streamed) {
  const { name, description, schema: input_schema } = tool;
  const common = { model, max_tokens: 100, tools: [{ name, description, input_schema }] };
  const messages = [{ role: "user", content: expected.question }];
  const first = await anthropicTurn(streamed, { ...common, messages });
  const [text, ...uses] = first;
  assert.equal(text.text, expected.text);
  assert.deepEqual(uses.map(({ id, name, input }) => ({ id, name, input })), calls);
  messages.push({ role: "assistant", content: first });
  const content = results.map((content, at) => ({ type: "tool_result", tool_use_id: calls[at].id, content }));
  messages.push({ role: "user", content });
  const second = await anthropicTurn(streamed, { ...common, messages });
  assert.deepEqual(second.map((block) => [block.type, block.text]), [["text", expected.final]]);
}

let failed = 0;
for (const [client, converse] of Object.entries({ openai, anthropic })) {
  for (const route of ["openai", "anthropic"]) {
    for (const streamed of [false, true]) {
      const name = `node_${client}_client_${route}_route_${streamed ? "streamed" : "whole"}`;
      try {
        await converse(`${route}-turns`, streamed);
        console.log(`ok      ${name}`);
      } catch (error) {
        failed += 1;
        console.log(`FAILED  ${name}\n${error.stack}`);
      }
    }
  }
}
// counted by the caller; a crash is what the exit code tells
console.log(`node ${process.version}: ${failed ? `${failed} failed` : "all passed"}`);
