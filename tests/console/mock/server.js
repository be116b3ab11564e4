// A small server as docs/api.md describes it: the files of the console and the API over a World, below a
// prefix. It is what the page is tested against when there is no NGINX.

import { readFile } from 'node:fs/promises';
import http from 'node:http';

import * as calls from './calls.js';
import { Problem } from './checks.js';
import * as incidents from './incidents.js';
import { World } from './world.js';

const CONSOLE = new URL('../../../console/', import.meta.url);
const TYPES = { html: 'text/html', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' };
const ALWAYS = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
};
const BODY_MAX = 4096;

/** Calls by path and method; a path that ends in a slash takes an id. */
const CALLS = {
  status: { GET: calls.status },
  denylist: { GET: calls.denylist, POST: calls.deny },
  'denylist/': { PATCH: calls.extend, DELETE: calls.lift },
  allowlist: { GET: calls.allowlist, POST: calls.allow },
  'allowlist/': { DELETE: calls.disallow },
  incidents: { GET: incidents.incidents },
  'incidents/': { GET: incidents.incident },
  history: { GET: incidents.history },
};

/** Starts a server on a free port; {url, world, close, failing}. With `failing` set to a status, the API answers that. */
export async function start({ port = 0, prefix = '/abuse', ...options } = {}) {
  const state = { world: new World(options), failing: 0 };
  const server = http.createServer((request, response) =>
    serve(request, response, state, prefix).catch((error) => response.destroy(error)),
  );
  await new Promise((resolve) => {
    server.listen(port, '127.0.0.1', resolve);
  });
  state.url = `http://127.0.0.1:${server.address().port}${prefix}/`;
  state.close = () =>
    new Promise((resolve) => {
      server.closeAllConnections();
      server.close(resolve);
    });
  return state;
}

async function serve(request, response, state, prefix) {
  const url = new URL(request.url, 'http://mock');
  for (const [name, value] of Object.entries(ALWAYS)) response.setHeader(name, value);
  if (url.pathname === prefix) {
    response.writeHead(301, { Location: `${prefix}/${url.search}` }).end();
    return;
  }
  if (!url.pathname.startsWith(`${prefix}/`)) {
    response.writeHead(404).end();
    return;
  }
  const rest = url.pathname.slice(prefix.length + 1);
  if (rest.startsWith('api/')) await api(request, response, state, rest.slice(4), url);
  else await file(response, rest || 'index.html');
}

async function file(response, name) {
  const type = TYPES[name.split('.').at(-1)];
  const body = type && /^[a-z0-9_.-]+$/.test(name) ? await readFile(new URL(name, CONSOLE)).catch(() => null) : null;
  if (body === null) response.writeHead(404).end();
  else response.writeHead(200, { 'Content-Type': `${type}; charset=utf-8`, 'Cache-Control': 'no-cache' }).end(body);
}

async function api(request, response, state, path, url) {
  const answer = (status, body, headers, type = 'application/json') => {
    response.writeHead(status, {
      ...headers,
      'Cache-Control': 'no-store',
      ...(body === null ? {} : { 'Content-Type': type }),
    });
    response.end(body === null || request.method === 'HEAD' ? undefined : JSON.stringify(body));
  };
  try {
    if (state.failing)
      throw new Problem(state.failing, 'detector_unavailable', 'Nobody took the request: is NGINX still starting?');
    const { status, body, headers } = await route(request, state.world, path, url);
    answer(status, body, headers);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const { status, code, field, message: detail, allow } = error;
    answer(
      status,
      { type: 'about:blank', title: http.STATUS_CODES[status], status, code, ...(field && { field }), detail },
      allow ? { Allow: allow } : {},
      'application/problem+json',
    );
  }
}

async function route(request, world, path, url) {
  const [name, id] = path.split('/');
  const methods = Object.hasOwn(CALLS, name) && CALLS[id === undefined ? name : `${name}/`];
  if (!methods) throw new Problem(404, 'unknown_call', `There is no call ${path}`);
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  if (!methods[method]) {
    throw Object.assign(new Problem(405, 'wrong_method', `${path} has no ${method}`), {
      allow: Object.keys(methods).join(', '),
    });
  }
  if (method === 'GET')
    return methods.GET(world, Date.now(), Object.fromEntries(url.searchParams), decodeURIComponent(id ?? ''));
  const site = request.headers['sec-fetch-site'] ?? 'none';
  if (request.headers['x-api-abuse'] !== '1' || !['same-origin', 'none'].includes(site)) {
    throw new Problem(403, 'header_missing', 'Changes need the header X-API-Abuse: 1');
  }
  return methods[method](
    world,
    Date.now(),
    method === 'DELETE' ? {} : await body(request),
    decodeURIComponent(id ?? ''),
  );
}

async function body(request) {
  if (!/^application\/json\s*(;|$)/.test(request.headers['content-type'] ?? ''))
    throw new Problem(415, 'wrong_type', 'The body has to be application/json');
  const pieces = [];
  let length = 0;
  for await (const piece of request) {
    length += piece.length;
    if (length > BODY_MAX) throw new Problem(413, 'too_large', `The body is longer than ${BODY_MAX} bytes`);
    pieces.push(piece);
  }
  try {
    const value = JSON.parse(Buffer.concat(pieces).toString());
    if (value && typeof value === 'object' && !Array.isArray(value)) return value;
  } catch {
    // Said below.
  }
  throw new Problem(400, 'bad_json', 'The body is no JSON object');
}
