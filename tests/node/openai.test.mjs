// The official OpenAI Node SDK, unchanged: only OPENAI_BASE_URL says that there is a sidecar.

import assert from 'node:assert/strict';
import { after, before, test as define } from 'node:test';

import OpenAI, { toFile } from 'openai';

import { APP_KEY, CANARY, Parts, fakeProvider, json, policy, scriptedProvider, secret, sidecar, tier } from './mesh.mjs';

const HELLO = [{ role: 'user', content: 'Hello there' }];
const WEATHER = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather of a place',
    parameters: {
      type: 'object',
      properties: { place: { type: 'string' } },
      required: ['place'],
      additionalProperties: false,
    },
    strict: true,
  },
};
const ASKS_FOR_WEATHER = [{ role: 'user', content: 'What is the weather in Oslo?' }];
const test = (name, body) => define(name, { timeout: 20_000 }, body);

const parts = new Parts();
let scripted;
let mesh;
let client;
let goOn;

/** What the scripted provider does to a call: the text of its first message says it. */
function play(call, response) {
  if (call.url.startsWith('/flaky')) return json(response, 503, { error: { message: 'flaky' } });
  if (call.url === '/v1/files/file-1/content') {
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    return response.end(Buffer.from([0, 255, 10, 13]));
  }
  if (call.url === '/v1/files') return json(response, 200, { id: 'file-1', object: 'file' });
  const asked = JSON.parse(call.body).messages[0].content;
  const limited = { error: { message: 'Rate limit reached', type: 'requests', code: 'rate_limit_exceeded' } };
  const sameCalls = scripted.calls.filter((other) => other.body.equals(call.body)).length;
  if (asked === 'limit' || (asked === 'limit three times' && sameCalls <= 3)) {
    return json(response, 429, limited, { 'retry-after-ms': '1' });
  }
  if (asked === 'fail') return json(response, 500, { error: { message: 'broken', type: 'server_error' } });
  if (asked === 'silence') return undefined;
  if (asked === 'stall' || asked === 'break') return stream(response, asked);
  return json(response, 200, { id: 'c', object: 'chat.completion', choices: [], model: 'scripted' });
}

function stream(response, asked) {
  const delta = { index: 0, delta: { content: 'one' }, finish_reason: null };
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(`data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [delta] })}\n\n`);
  if (asked === 'break') goOn = () => response.destroy();
}

before(async () => {
  const small = await parts.add(fakeProvider('--model', 'small', '--embedding-model', 'embed-3', '--key', CANARY));
  const locked = await parts.add(fakeProvider('--model', 'locked', '--key', 'sk-rotated'));
  scripted = await parts.add(scriptedProvider(play));
  mesh = await parts.add(
    sidecar([
      tier('vectors', 1, small.url, { model: 'embed-3', capabilities: [] }),
      tier('flaky', 5, `${scripted.url}/flaky/v1`),
      tier('small', 10, small.url, { aliases: ['gpt-4o-mini'] }),
      tier('locked', 90, locked.url),
      tier('scripted', 100, scripted.url),
      policy(['vectors', 'flaky', 'small', 'locked', 'scripted'], {
        models: { route: ['auto'], passThroughTier: 'scripted' },
        identity: [{ attribute: 'plan', header: 'x-plan' }],
        entitlements: {
          default: 'All',
          grants: [{ name: 'free', when: 'caller.plan == "free"', tiers: ['small'] }],
        },
      }),
      secret({ 'api-key': CANARY }),
    ]),
  );
  process.env.OPENAI_BASE_URL = `${mesh.url}/v1`;
  process.env.OPENAI_API_KEY = APP_KEY;
  client = new OpenAI();
});

after(async () => {
  const codes = await parts.stop();
  assert.equal(codes[0], 0, 'the sidecar ends in order');
});

const chat = (options = {}, more = {}) =>
  client.chat.completions.create({ model: 'auto', messages: HELLO, ...options }, more);
const say = (content) => ({ model: 'scripted', messages: [{ role: 'user', content }] });
const collect = async (iterable) => {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
};

test('a chat completion', async () => {
  const { data, response } = await chat().withResponse();
  assert.ok(data.choices[0].message.content);
  assert.equal(data.model, 'small');
  assert.equal(response.headers.get('x-tiermesh-tier'), 'small');
  assert.equal(response.headers.get('x-tiermesh-reason'), 'Chosen');
  const record = await mesh.record(response.headers.get('x-tiermesh-decision'));
  assert.equal(record.usage.output, data.usage.completion_tokens);
});

test('a stream is the same text, without the usage that nobody asked for', async () => {
  const whole = await chat();
  const chunks = await collect(await chat({ stream: true }));
  assert.equal(chunks.map((c) => c.choices[0].delta.content ?? '').join(''), whole.choices[0].message.content);
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
  assert.ok(chunks.every((c) => !('usage' in c) && c.choices.length === 1));
});

test('usage that was asked for comes last', async () => {
  const chunks = await collect(await chat({ stream: true, stream_options: { include_usage: true } }));
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.ok(chunks.at(-1).usage.completion_tokens > 0);
});

test('the stream helper accumulates', async () => {
  const helper = client.chat.completions.stream({ model: 'auto', messages: HELLO });
  const deltas = [];
  helper.on('content', (delta) => deltas.push(delta));
  const final = await helper.finalChatCompletion();
  assert.equal(final.choices[0].message.content, deltas.join(''));
});

test('tools are called, and run by the helper', async () => {
  const answer = await chat({ messages: ASKS_FOR_WEATHER, tools: [WEATHER] });
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(call.function.name, 'get_weather');
  assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)), ['place']);
  const places = [];
  const runner = client.chat.completions.runTools({
    model: 'auto',
    messages: ASKS_FOR_WEATHER,
    tools: [
      {
        type: 'function',
        function: {
          ...WEATHER.function,
          parse: JSON.parse,
          function: ({ place }) => {
            places.push(place);
            return 'rain';
          },
        },
      },
    ],
  });
  assert.ok(await runner.finalContent());
  assert.equal(places.length, 1);
});

test('streamed tool calls add up', async () => {
  const options = { messages: ASKS_FOR_WEATHER, tools: [WEATHER], tool_choice: 'required' };
  const whole = await chat(options);
  const helper = client.chat.completions.stream({ model: 'auto', ...options });
  const final = await helper.finalChatCompletion();
  assert.equal(
    final.choices[0].message.tool_calls[0].function.arguments,
    whole.choices[0].message.tool_calls[0].function.arguments,
  );
});

test('structured output by a JSON schema', async () => {
  const schema = {
    type: 'object',
    properties: { label: { enum: ['yes', 'no'] } },
    required: ['label'],
    additionalProperties: false,
  };
  const format = { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } };
  const answer = await client.chat.completions.parse({ model: 'auto', messages: HELLO, response_format: format });
  assert.match(JSON.parse(answer.choices[0].message.content).label, /^(yes|no)$/);
});

test('completions', async () => {
  const options = { model: 'auto', prompt: 'Once upon', max_tokens: 20 };
  const whole = await client.completions.create(options);
  const chunks = await collect(await client.completions.create({ ...options, stream: true }));
  assert.equal(chunks.map((c) => c.choices[0].text).join(''), whole.choices[0].text);
});

test("embeddings in the SDK's own encoding", async () => {
  const options = { model: 'embed-3', input: ['a', 'b'], dimensions: 8 };
  const packed = await client.embeddings.create(options); // base64, decoded by the SDK
  const plain = await client.embeddings.create({ ...options, encoding_format: 'float' });
  assert.equal(packed.data.length, 2);
  packed.data.forEach(({ embedding }, at) => {
    assert.equal(embedding.length, 8);
    embedding.forEach((x, i) => assert.ok(Math.abs(x - plain.data[at].embedding[i]) < 1e-6));
  });
});

test('models are listed and retrieved', async () => {
  const names = (await collect(client.models.list())).map((model) => model.id);
  assert.deepEqual(names, ['auto', 'vectors', 'flaky', 'small', 'gpt-4o-mini', 'locked', 'scripted']);
  assert.equal((await client.models.retrieve('gpt-4o-mini')).id, 'gpt-4o-mini');
  await assert.rejects(client.models.retrieve('gpt-9'), OpenAI.NotFoundError);
});

test('other paths pass through, bytes unchanged', async () => {
  const upload = await toFile(Buffer.from([1, 2, 254]), 'a.bin');
  const made = await client.files.create({ file: upload, purpose: 'batch' });
  const content = await client.files.content('file-1');
  assert.equal(made.id, 'file-1');
  assert.deepEqual([...new Uint8Array(await content.arrayBuffer())], [0, 255, 10, 13]);
  const call = scripted.calls.find(({ url }) => url === '/v1/files');
  assert.ok(call.body.includes(Buffer.from([1, 2, 254])));
  assert.match(call.headers['content-type'], /^multipart\/form-data; *boundary=/);
});

test('a base URL without its version works too', async () => {
  process.env.OPENAI_BASE_URL = mesh.url;
  try {
    const answer = await new OpenAI().chat.completions.create({ model: 'auto', messages: HELLO });
    assert.ok(answer.choices[0].message.content);
  } finally {
    process.env.OPENAI_BASE_URL = `${mesh.url}/v1`;
  }
});

test('a fallback is invisible but for the headers', async () => {
  const { data, response } = await chat({ model: 'flaky' }, { maxRetries: 0 }).withResponse();
  assert.equal(data.model, 'small');
  assert.equal(response.headers.get('x-tiermesh-reason'), 'InPlan');
  assert.equal(response.headers.get('x-tiermesh-attempts'), '2');
});

test("a provider's rejection comes as it was said", async () => {
  await assert.rejects(chat({ temperature: 9 }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.code, 'decimal_above_max_value');
    assert.equal(error.param, 'temperature');
    assert.match(error.requestID, /^req_/);
    return true;
  });
});

test('our own errors are the classes of the SDK', async () => {
  const hint = { headers: { 'x-tiermesh-deadline-ms': 'soon' } };
  const free = { headers: { 'x-plan': 'free' } };
  const expected = [
    [() => chat({}, hint), OpenAI.BadRequestError, 'invalid_request'],
    [() => chat({ model: 'gpt-9' }), OpenAI.NotFoundError, 'model_not_found'],
    [() => chat({ model: 'scripted' }, free), OpenAI.PermissionDeniedError, 'not_entitled'],
  ];
  for (const [ask, kind, code] of expected) {
    await assert.rejects(ask(), (error) => {
      assert.ok(error instanceof kind, `${error}`);
      assert.equal(error.code, code);
      assert.ok(error.headers.get('x-tiermesh-decision'));
      return true;
    });
  }
});

test('a key that the provider refuses is an authentication error without the key', async () => {
  await assert.rejects(chat({ model: 'locked' }), (error) => {
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.equal(error.code, 'invalid_api_key');
    assert.ok(!JSON.stringify(error.error).includes(CANARY));
    return true;
  });
});

test('a rate limit, and the retries of the SDK', async () => {
  await assert.rejects(client.chat.completions.create(say('limit'), { maxRetries: 0 }), (error) => {
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.equal(error.headers.get('retry-after-ms'), '1');
    assert.equal(error.headers.get('x-tiermesh-attempts'), '2');
    return true;
  });
  const answer = await client.chat.completions.create(say('limit three times'));
  assert.equal(answer.model, 'scripted');
  const calls = scripted.calls.filter(({ body }) => body.includes('limit three times'));
  const retries = calls.map(({ headers }) => headers['x-stainless-retry-count']);
  assert.deepEqual(retries, ['0', '0', '1', '1']); // two attempts by the sidecar for each of the SDK's
});

test("when every attempt failed the provider's error is raised", async () => {
  await assert.rejects(client.chat.completions.create(say('fail'), { maxRetries: 0 }), (error) => {
    assert.ok(error instanceof OpenAI.InternalServerError);
    assert.match(error.message, /broken/);
    assert.equal(error.headers.get('x-tiermesh-attempts'), '2');
    return true;
  });
});

test('the deadline of a call is a 504', async () => {
  const hint = { headers: { 'x-tiermesh-deadline-ms': '150' }, maxRetries: 0 };
  await assert.rejects(client.chat.completions.create(say('silence'), hint), (error) => {
    assert.equal(error.status, 504);
    assert.equal(error.code, 'deadline_exceeded');
    return true;
  });
  await scripted.calls.at(-1).closed;
});

test("the SDK's own timeout ends the call at the provider", async () => {
  const before = scripted.calls.length;
  const asking = client.chat.completions.create(say('silence'), { timeout: 600, maxRetries: 0 });
  await assert.rejects(asking, OpenAI.APIConnectionTimeoutError);
  assert.equal(scripted.calls.length, before + 1);
  await scripted.calls.at(-1).closed;
});

for (const way of ['abort', 'break out of the loop']) {
  test(`a stream that the application leaves (${way}) is closed at the provider and billed`, async () => {
    const asking = client.chat.completions.create({ ...say('stall'), stream: true });
    const { data, response } = await asking.withResponse();
    const chunks = [];
    for await (const chunk of data) {
      chunks.push(chunk);
      if (way === 'abort') data.controller.abort();
      else break;
    }
    assert.equal(chunks.length, 1);
    await scripted.calls.at(-1).closed;
    const record = await mesh.record(response.headers.get('x-tiermesh-decision'));
    assert.equal(record.ending, 'client_gone');
    assert.equal(record.usage.estimated, true);
    assert.ok(record.usage.output >= 1);
    assert.ok(Number(record.cost) > 0);
  });
}

test('a stream that breaks is an error after what had come', async () => {
  const stream = await client.chat.completions.create({ ...say('break'), stream: true });
  const chunks = [];
  await assert.rejects(
    async () => {
      for await (const chunk of stream) {
        chunks.push(chunk);
        goOn();
      }
    },
    (error) => {
      assert.ok(error instanceof OpenAI.APIError);
      assert.equal(error.code, 'upstream_failed');
      return true;
    },
  );
  assert.equal(chunks.length, 1);
});

test('twenty streams at once do not mix', async () => {
  const ask = async (number, stream) => {
    const messages = [{ role: 'user', content: `Tell me about number ${number}` }];
    const answer = await chat({ messages, stream, max_tokens: 40 });
    if (!stream) return answer.choices[0].message.content;
    return (await collect(answer)).map((c) => c.choices[0].delta.content ?? '').join('');
  };
  const numbers = [...Array(20).keys()];
  const streamed = await Promise.all(numbers.map((n) => ask(n, true)));
  const whole = await Promise.all(numbers.map((n) => ask(n, false)));
  assert.deepEqual(streamed, whole);
  assert.equal(new Set(streamed).size, 20);
});

test("neither the application's key nor hints reach a provider", async () => {
  await client.chat.completions.create(say('hello'), { headers: { 'x-tiermesh-step': 'a', 'x-plan': 'b' } });
  assert.ok(scripted.calls.length > 5);
  for (const { headers } of scripted.calls) {
    assert.equal(headers.authorization, `Bearer ${CANARY}`);
    assert.ok(!JSON.stringify(headers).includes(APP_KEY));
    const private_ = Object.keys(headers).filter((name) => name.startsWith('x-tiermesh-') || name === 'x-plan');
    assert.deepEqual(private_, []);
  }
});
