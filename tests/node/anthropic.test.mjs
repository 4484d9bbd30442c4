// The official Anthropic Node SDK, unchanged: only ANTHROPIC_BASE_URL says that there is a sidecar.

import assert from 'node:assert/strict';
import { after, before, test as define } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';

import { APP_KEY, CANARY, Parts, fakeProvider, json, policy, scriptedProvider, secret, sidecar, tier } from './mesh.mjs';

const ASK = { model: 'auto', max_tokens: 200, messages: [{ role: 'user', content: 'Hello there' }] };
const WEATHER = {
  name: 'get_weather',
  input_schema: { type: 'object', properties: { place: { type: 'string' } }, required: ['place'] },
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
  const asked = call.url.startsWith('/flaky') ? 'overload' : JSON.parse(call.body).messages[0].content;
  if (asked === 'overload') {
    return json(response, 529, { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } });
  }
  if (asked === 'silence') return undefined;
  const message = { id: 'm', type: 'message', role: 'assistant', model: 'scripted', content: [] };
  const usage = { input_tokens: 5, output_tokens: 1 };
  if (asked === 'hello') return json(response, 200, { ...message, stop_reason: 'end_turn', usage });
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (event) => response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  send({ type: 'message_start', message: { ...message, usage } });
  goOn = () => response.destroy();
  return undefined;
}

before(async () => {
  const small = await parts.add(fakeProvider('--model', 'small', '--key', CANARY, '--dialect', 'Anthropic'));
  scripted = await parts.add(scriptedProvider(play));
  const anthropic = { provider: 'Anthropic' };
  mesh = await parts.add(
    sidecar([
      tier('flaky', 5, `${scripted.url}/flaky/v1`, anthropic),
      tier('small', 10, small.url, anthropic),
      tier('scripted', 100, scripted.url, anthropic),
      policy(['flaky', 'small', 'scripted'], {
        models: { route: ['auto'], passThroughTier: 'small' },
        identity: [{ attribute: 'plan', header: 'x-plan' }],
        entitlements: {
          default: 'All',
          grants: [{ name: 'free', when: 'caller.plan == "free"', tiers: ['small'] }],
        },
      }),
      secret({ 'api-key': CANARY }),
    ]),
  );
  process.env.ANTHROPIC_BASE_URL = mesh.url;
  process.env.ANTHROPIC_API_KEY = APP_KEY;
  client = new Anthropic();
});

after(async () => {
  const codes = await parts.stop();
  assert.equal(codes[0], 0, 'the sidecar ends in order');
});

const create = (options = {}, more = {}) => client.messages.create({ ...ASK, ...options }, more);
const say = (content) => ({ model: 'scripted', messages: [{ role: 'user', content }] });
const collect = async (iterable) => {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
};

test('a message', async () => {
  const { data, response } = await create({ system: 'Be brief.' }).withResponse();
  assert.equal(data.content[0].type, 'text');
  assert.equal(data.model, 'small');
  assert.equal(data.stop_reason, 'end_turn');
  assert.equal(response.headers.get('x-tiermesh-tier'), 'small');
  const record = await mesh.record(response.headers.get('x-tiermesh-decision'));
  assert.equal(record.usage.output, data.usage.output_tokens);
});

test('raw events come complete and in order', async () => {
  const types = (await collect(await create({ stream: true }))).map(({ type }) => type);
  assert.deepEqual(types.slice(0, 2), ['message_start', 'content_block_start']);
  assert.deepEqual(types.slice(-3), ['content_block_stop', 'message_delta', 'message_stop']);
});

test('the stream helper accumulates', async () => {
  const whole = await create();
  const final = await client.messages.stream(ASK).finalMessage();
  assert.equal(final.content[0].text, whole.content[0].text);
  assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
});

test('tools are used, streamed and not', async () => {
  const options = { messages: ASKS_FOR_WEATHER, tools: [WEATHER] };
  const whole = await create(options);
  const streamed = await client.messages.stream({ ...ASK, ...options }).finalMessage();
  assert.equal(whole.stop_reason, 'tool_use');
  assert.equal(whole.content[0].name, 'get_weather');
  assert.deepEqual(streamed.content[0].input, whole.content[0].input);
});

test('tokens are counted by the pass-through tier, models are listed here', async () => {
  const counted = await client.messages.countTokens({ model: 'small', messages: ASK.messages });
  assert.ok(counted.input_tokens > 0);
  const names = (await collect(client.models.list())).map(({ id }) => id);
  assert.deepEqual(names, ['auto', 'flaky', 'small', 'scripted']);
});

test('a fallback is invisible but for the headers', async () => {
  const { data, response } = await create({ model: 'flaky' }, { maxRetries: 0 }).withResponse();
  assert.equal(data.model, 'small');
  assert.equal(response.headers.get('x-tiermesh-reason'), 'InPlan');
});

test('errors are the classes of the SDK, in its own shape', async () => {
  const free = { headers: { 'x-plan': 'free' } };
  const soon = { headers: { 'x-tiermesh-deadline-ms': 'soon' } };
  const hurry = { headers: { 'x-tiermesh-deadline-ms': '150' }, maxRetries: 0 };
  const expected = [
    [() => create({}, soon), Anthropic.BadRequestError, 'invalid_request_error', 'invalid_request'],
    [() => create({ temperature: 9 }), Anthropic.BadRequestError, 'invalid_request_error', undefined],
    [() => create({ model: 'claude-9' }), Anthropic.NotFoundError, 'not_found_error', 'model_not_found'],
    [() => create({ model: 'scripted' }, free), Anthropic.PermissionDeniedError, 'permission_error', 'not_entitled'],
    [() => create(say('overload'), { maxRetries: 0 }), Anthropic.InternalServerError, 'overloaded_error', undefined],
    [() => create(say('silence'), hurry), Anthropic.InternalServerError, 'timeout_error', 'deadline_exceeded'],
  ];
  for (const [ask, kind, type, code] of expected) {
    await assert.rejects(ask(), (error) => {
      assert.ok(error instanceof kind, `${error}`);
      assert.equal(error.error.type, 'error');
      assert.equal(error.error.error.type, type);
      assert.equal(error.error.error.code, code);
      return true;
    });
  }
});

test('a stream that the application aborts is closed at the provider and billed', async () => {
  const { data, response } = await create({ ...say('stall'), stream: true }).withResponse();
  for await (const _ of data) data.controller.abort();
  await scripted.calls.at(-1).closed;
  const record = await mesh.record(response.headers.get('x-tiermesh-decision'));
  assert.equal(record.ending, 'client_gone');
  assert.equal(record.usage.estimated, true);
  assert.equal(record.usage.input, 5);
  assert.ok(Number(record.cost) > 0);
});

test('a stream that breaks is an error after what had come', async () => {
  const stream = await create({ ...say('break'), stream: true });
  const events = [];
  await assert.rejects(
    async () => {
      for await (const event of stream) {
        events.push(event.type);
        goOn();
      }
    },
    (error) => {
      assert.ok(error instanceof Anthropic.APIError);
      assert.match(JSON.stringify(error.error ?? error.message), /upstream_failed/);
      return true;
    },
  );
  assert.deepEqual(events, ['message_start']);
});

test("the application's key never reaches a provider, in either header", async () => {
  await create(say('hello'));
  const bearer = new Anthropic({ apiKey: null, authToken: APP_KEY });
  await bearer.messages.create({ ...ASK, ...say('hello') });
  assert.ok(scripted.calls.length > 4);
  for (const { headers } of scripted.calls) {
    assert.equal(headers['x-api-key'], CANARY);
    assert.equal(headers.authorization, undefined);
    assert.ok(!JSON.stringify(headers).includes(APP_KEY));
  }
});
