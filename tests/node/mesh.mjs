// A mesh of real processes for the SDK suites: fake providers, a scripted provider in this process,
// and a sidecar. Every process that was started is ended by its own id, also when a test fails.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const CANARY = 'sk-canary-7f3a9b';
export const APP_KEY = 'sk-the-applications-own-9d1c';
const START_MS = 20_000;
const HERE = fileURLToPath(new URL('.', import.meta.url));
const BIN = process.env.TIERMESH_BIN ?? resolve(HERE, '../../.venv/bin');

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

/** A program, from the first line that `found` understands. Rejects when it ends or says nothing. */
async function start(program, args, { from, found, eachLine = () => {} }) {
  const child = spawn(join(BIN, program), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  const said = [];
  const ready = new Promise((settle, fail) => {
    const timer = setTimeout(() => fail(new Error(`${program}: not ready`)), START_MS).unref();
    child.once('error', fail);
    child.once('exit', (code) => {
      running.delete(child);
      fail(new Error(`${program} ended with ${code}:\n${said.join('\n')}`));
    });
    for (const name of ['stdout', 'stderr']) {
      createInterface({ input: child[name] }).on('line', (line) => {
        if (name === 'stdout') eachLine(line);
        else said.push(line);
        const value = name === from ? found(line) : undefined;
        if (value) {
          clearTimeout(timer);
          settle(value);
        }
      });
    }
  });
  try {
    return { child, value: await ready };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await gone;
  clearTimeout(timer);
}

/** A strict fake provider as a process. */
export async function fakeProvider(...args) {
  const { child, value } = await start('python', ['-m', 'tiermesh_sidecar.demo.providers', ...args], {
    from: 'stdout',
    found: (line) => (line.startsWith('http://') ? line : undefined),
  });
  return { url: value, stop: () => stop(child) };
}

/** A provider that does what `answer(call, response)` does. It keeps what it got in `calls`. */
export async function scriptedProvider(answer) {
  const calls = [];
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      const body = Buffer.concat(parts);
      const closed = new Promise((settle) => response.once('close', settle));
      const call = { method: request.method, url: request.url, headers: request.headers, body, closed };
      calls.push(call);
      answer(call, response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    calls,
    url: `http://127.0.0.1:${server.address().port}`,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** `tiermesh sidecar` with these documents, on ports of its own choice. */
export async function sidecar(documents, ...args) {
  const folder = mkdtempSync(join(tmpdir(), 'tiermesh-'));
  const file = join(folder, 'policy.yaml');
  writeFileSync(file, documents.map((document) => JSON.stringify(document)).join('\n---\n'));
  const records = new Map();
  const waiting = new Map();
  const anywhere = ['--listen', '--admin', '--health'].map((flag) => `${flag}=127.0.0.1:0`);
  const { child, value } = await start('tiermesh', ['sidecar', '-f', file, ...anywhere, ...args], {
    from: 'stderr',
    found: (line) => line.match(/serving on ([^ ,]+), admin on ([^ ,]+),/)?.slice(1),
    eachLine: (line) => {
      const record = JSON.parse(line);
      records.set(record.id, record);
      waiting.get(record.id)?.(record);
    },
  });
  return {
    url: `http://${value[0]}`,
    /** The audit record of a call, as soon as it is written. */
    record: (id) =>
      records.get(id) ?? new Promise((settle) => waiting.set(id, settle)),
    stop: async () => {
      await stop(child);
      rmSync(folder, { recursive: true });
      return child.exitCode;
    },
  };
}

export function tier(name, rank, url, { key = 'api-key', provider = 'OpenAI', model = name, ...spec } = {}) {
  return {
    apiVersion: 'tiermesh.dev/v1alpha1',
    kind: 'ModelTier',
    metadata: { name, namespace: 'shop' },
    spec: {
      rank,
      price: { inputPerMillionTokens: '1', outputPerMillionTokens: '1' },
      capabilities: ['Tools', 'JSONSchema'],
      outlierDetection: { consecutiveFailures: 100 },
      ...spec,
      backends: [
        { name: `${name}-a`, provider, model, target: { url }, credentials: { secretRef: { name: 'keys', key } } },
      ],
    },
  };
}

export function policy(tiers, spec = {}) {
  return {
    apiVersion: 'tiermesh.dev/v1alpha1',
    kind: 'RoutingPolicy',
    metadata: { name: 'checkout', namespace: 'shop' },
    spec: {
      tiers: tiers.map((name) => ({ name })),
      default: { route: { pin: { tier: 'small' } } },
      retry: { maxAttempts: 2, backoff: { base: '1ms', max: '2ms' } },
      ...spec,
    },
  };
}

export function secret(stringData) {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys', namespace: 'shop' }, stringData };
}

export function json(response, status, value, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
}

/** Parts of a mesh, ended in the reverse order of their start. */
export class Parts {
  #stops = [];

  async add(part) {
    const started = await part;
    this.#stops.push(started.stop);
    return started;
  }

  async stop() {
    const codes = [];
    for (const end of this.#stops.reverse()) codes.push(await end());
    return codes;
  }
}
