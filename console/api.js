// The calls of the JSON API (docs/api.md). Addresses are relative to the page.

// Without the user name and password that may stand in the page's address: fetch() refuses them.
const BASE = new URL('api/', location.origin + location.pathname);
const PATIENCE_MS = 15_000;

/** What the server answered instead, or that it did not: `message` is for people. */
export class ApiError extends Error {
  constructor(message, status = 0, problem = {}) {
    super(message);
    this.status = status;
    this.code = problem.code ?? '';
    this.field = problem.field ?? '';
  }
}

/** Query arguments as text; empty ones are left out. */
export function query(values) {
  const arguments_ = Object.entries(values).filter(
    ([, value]) => value !== '' && value !== null && value !== undefined,
  );
  return arguments_.length ? `?${new URLSearchParams(arguments_)}`.replaceAll('+', '%20') : '';
}

async function call(path, options) {
  let response;
  const signals = [AbortSignal.timeout(PATIENCE_MS), options.signal].filter(Boolean);
  try {
    response = await fetch(new URL(path, BASE), {
      cache: 'no-store',
      redirect: 'error',
      ...options,
      signal: AbortSignal.any(signals),
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError('NGINX does not answer. Is it running, and is this address still its own?');
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => null);
  if (response.ok && answer !== null) return answer;
  throw new ApiError(answer?.detail || refusal(response.status), response.status, answer ?? {});
}

/** What to do about an answer that is not of the API itself. */
function refusal(status) {
  if (status === 401) return 'NGINX wants a password for this location: load the page again.';
  if (status === 403) return 'NGINX refuses this address (403): look at allow and deny of the console’s location.';
  if (status === 404) return 'There is no API below this page (404): is api_abuse_console still in the configuration?';
  return `NGINX answered ${status} without saying why: its error log knows more.`;
}

const read = (path, signal) => call(path, { signal });

function change(method, path, body) {
  const headers = { 'X-API-Abuse': '1' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  return call(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
}

const id = encodeURIComponent;

export const status = (signal) => read('status', signal);
export const denylist = (values, signal) => read(`denylist${query(values)}`, signal);
export const deny = (application, address, ttl) => change('POST', 'denylist', { application, address, ttl });
export const extend = (entry, ttl) => change('PATCH', `denylist/${id(entry)}`, { ttl });
export const lift = (entry) => change('DELETE', `denylist/${id(entry)}`);
export const allowlist = (values, signal) => read(`allowlist${query(values)}`, signal);
export const allow = (address, comment) => change('POST', 'allowlist', { address, comment });
export const disallow = (entry) => change('DELETE', `allowlist/${id(entry)}`);
export const incidents = (values, signal) => read(`incidents${query(values)}`, signal);
export const incident = (number, signal) => read(`incidents/${id(number)}`, signal);
export const history = (values, signal) => read(`history${query(values)}`, signal);
