// The API itself, as docs/api.md describes it: shapes of answers, and that what is refused changes nothing. Also runs
// against a real NGINX.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { target } from './target.js';

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const ID = /^[0-9a-z.:_-]+$/;
const HEADER = { 'X-API-Abuse': '1' };
const JSON_TYPE = { 'Content-Type': 'application/json' };

let it;
before(async () => {
  it = await target({ denials: 40 });
});
after(() => it.close());

/** {status, headers, body} of a call. */
async function call(path, { method = 'GET', headers = {}, body } = {}) {
  const response = await fetch(new URL(`api/${path}`, it.url), { method, headers, body, redirect: 'manual' });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : null };
}

const change = (method, path, body, headers = { ...HEADER, ...JSON_TYPE }) =>
  call(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });

async function application() {
  const { body } = await call('status');
  return body.applications[0].name;
}

/** Everything that a change could change. */
async function state() {
  const [denylist, allowlist] = await Promise.all([call('denylist?sort=address'), call('allowlist')]);
  return JSON.stringify([denylist.body.entries.map(({ id, expires }) => [id, expires]), allowlist.body.entries]);
}

describe('answers', () => {
  test('status', async () => {
    const { status, headers, body } = await call('status');
    assert.equal(status, 200);
    assert.match(headers.get('content-type'), /^application\/json/);
    assert.equal(headers.get('cache-control'), 'no-store');
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.match(body.time, TIME);
    assert.ok(['off', 'monitor', 'block', 'mixed'].includes(body.mode));
    assert.ok(body.applications.length > 0);
    for (const one of body.applications) {
      assert.ok(['no_traffic', 'learning', 'ready', 'tripped'].includes(one.state));
      assert.deepEqual(Object.keys(one.requests).sort(), [
        'ALLOWED',
        'BYPASSED',
        'DENIED',
        'DENIED_MONITOR',
        'PASSED',
        'THROTTLED',
        'THROTTLED_MONITOR',
      ]);
      assert.deepEqual(Object.keys(one.would_deny).sort(), ['normal', 'paranoid', 'safe']);
      assert.ok(Number.isInteger(one.denied_sources) && Array.isArray(one.notes));
      assert.ok(one.learning.remaining_seconds <= one.learning.duration_seconds);
    }
    const { detector, ring, tables } = body.health;
    assert.equal(typeof detector.up, 'boolean');
    assert.ok(ring.records_judged <= ring.records_pushed);
    assert.ok(tables.some(({ name, used, size }) => name === 'denylist' && used <= size));
  });

  test('denylist, in pages', async () => {
    const { body: all } = await call('denylist?limit=1000&sort=-since');
    for (const entry of all.entries) {
      assert.match(entry.id, ID);
      assert.match(entry.since, TIME);
      assert.match(entry.expires, TIME);
      assert.ok(['address', 'client', 'session'].includes(entry.key.type));
    }
    const times = all.entries.map(({ since }) => since);
    assert.deepEqual(times, [...times].sort().reverse());
    if (all.total < 4) return;
    const { body: page } = await call('denylist?limit=2&offset=2&sort=-since');
    assert.deepEqual(
      page.entries.map(({ id }) => id),
      all.entries.slice(2, 4).map(({ id }) => id),
    );
    assert.deepEqual([page.total, page.offset, page.limit], [all.total, 2, 2]);
  });

  test('incidents and their evidence', async () => {
    const { body: list } = await call('incidents?limit=3');
    for (const { id, since } of list.entries) {
      assert.match(since, TIME);
      const { status, body } = await call(`incidents/${id}`);
      assert.equal(status, 200);
      assert.ok(body.evidence.evidence >= body.evidence.threshold);
      assert.ok(body.evidence.findings.length <= 8 && body.evidence.exemplars.length <= 5);
      for (const { value, normal, multiple } of body.evidence.findings) {
        assert.equal(typeof value, 'number');
        assert.match(normal, /^< [0-9.]+$/);
        assert.match(multiple, /^[0-9.]+x$/);
      }
      for (const { time } of body.evidence.exemplars) assert.match(time, TIME);
      assert.ok(Array.isArray(body.neighbours) && Number.isInteger(body.hits));
    }
  });

  test('history', async () => {
    const { body } = await call('history?days=2');
    assert.ok(body.hours.length <= 49 * 64);
    for (const { hour, requests, denied, threats } of body.hours) {
      assert.match(hour, /:00:00\.000Z$/);
      assert.ok(hour >= body.from || body.hours.length === 0);
      assert.ok(Number.isInteger(requests) && denied <= requests);
      assert.ok(Object.values(threats).every(Number.isInteger));
    }
    for (const name of ['sources', 'endpoints', 'detectors']) assert.ok(body.top[name].length <= 10);
  });

  test('an entry of one’s own: made, extended, lifted', async () => {
    const name = await application();
    const made = await change('POST', 'denylist', { application: name, address: '198.51.100.250', ttl: '1h' });
    assert.equal(made.status, 201);
    assert.ok(made.headers.get('location').endsWith(made.body.id));
    assert.deepEqual(made.body.key, { type: 'address', address: '198.51.100.250' });
    assert.equal(made.body.origin, 'operator');
    const again = await change('POST', 'denylist', { application: name, address: '198.51.100.250', ttl: 7200 });
    assert.deepEqual([again.status, again.body.id], [200, made.body.id]);
    const longer = await change('PATCH', `denylist/${made.body.id}`, { ttl: '1d' });
    assert.equal(longer.status, 200);
    assert.ok(longer.body.expires > again.body.expires);
    const { body: found } = await call('denylist?q=198.51.100.250&threat=none');
    assert.equal(found.total, 1);
    assert.equal((await change('DELETE', `denylist/${made.body.id}`)).status, 204);
    assert.equal((await change('DELETE', `denylist/${made.body.id}`)).body.code, 'unknown_id');
    assert.equal((await call('denylist?q=198.51.100.250')).body.total, 0);
  });

  test('the allowlist lifts what it names', async () => {
    const name = await application();
    await change('POST', 'denylist', { application: name, address: '198.51.101.9' });
    const made = await change('POST', 'allowlist', { address: '198.51.101.0/24', comment: 'ours' });
    assert.equal(made.status, 201);
    assert.equal((await call('denylist?q=198.51.101.9')).body.total, 0);
    assert.equal(
      (await change('POST', 'denylist', { application: name, address: '198.51.101.9' })).body.code,
      'allowlisted',
    );
    assert.equal((await change('DELETE', `allowlist/${made.body.id}`)).status, 204);
  });
});

/** Each is refused with this status and code: [what, status, code, path, options]. */
const json = (body) => ({
  method: 'POST',
  headers: { ...HEADER, ...JSON_TYPE },
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
const REFUSED = [
  ['no header', 403, 'header_missing', 'allowlist', { ...json({ address: '192.0.2.1' }), headers: JSON_TYPE }],
  [
    'another value of the header',
    403,
    'header_missing',
    'allowlist',
    { ...json({ address: '192.0.2.1' }), headers: { ...JSON_TYPE, 'X-API-Abuse': '0' } },
  ],
  [
    'cross-site',
    403,
    'header_missing',
    'allowlist',
    { ...json({ address: '192.0.2.1' }), headers: { ...HEADER, ...JSON_TYPE, 'Sec-Fetch-Site': 'cross-site' } },
  ],
  ['wrong method', 405, 'wrong_method', 'status', { method: 'POST', headers: HEADER }],
  ['PUT', 405, 'wrong_method', 'denylist', { method: 'PUT', headers: HEADER }],
  ['oversized', 413, 'too_large', 'allowlist', json({ address: '192.0.2.1', comment: 'x'.repeat(5000) })],
  ['cut off', 400, 'bad_json', 'allowlist', json('{"address":"192.0.2.1"')],
  ['no object', 400, 'bad_json', 'allowlist', json('[1]')],
  ['empty', 400, 'bad_json', 'allowlist', json('')],
  [
    'a form',
    415,
    'wrong_type',
    'allowlist',
    {
      method: 'POST',
      headers: { ...HEADER, 'Content-Type': 'application/x-www-form-urlencoded' },
      body: 'address=192.0.2.1',
    },
  ],
  ['host bits', 422, 'host_bits', 'allowlist', json({ address: '192.0.2.7/24' })],
  ['no address', 422, 'bad_address', 'allowlist', json({ address: '192.0.2.256' })],
  ['a number', 422, 'bad_address', 'allowlist', json({ address: 7 })],
  ['a network on the denylist', 422, 'bad_address', 'denylist', json({ application: '?', address: '192.0.3.0/24' })],
  ['long comment', 422, 'bad_comment', 'allowlist', json({ address: '192.0.2.1', comment: 'é'.repeat(65) })],
  ['misspelt member', 422, 'unknown_member', 'allowlist', json({ address: '192.0.2.1', commment: '' })],
  ['missing member', 422, 'missing_member', 'denylist', json({ address: '192.0.2.1' })],
  [
    'unknown application',
    422,
    'unknown_application',
    'denylist',
    json({ application: 'no such application', address: '198.51.100.251' }),
  ],
  ['unknown denial', 404, 'unknown_id', 'denylist/0-0-0-0', { method: 'DELETE', headers: HEADER }],
  ['unknown allowance', 404, 'unknown_id', 'allowlist/zz', { method: 'DELETE', headers: HEADER }],
  ['unknown incident', 404, 'unknown_id', 'incidents/ffffffffffffffff', {}],
  ['unknown call', 404, 'unknown_call', 'nothing', {}],
  ['bad limit', 400, 'bad_query', 'denylist?limit=0', {}],
  ['bad offset', 400, 'bad_query', 'denylist?offset=-1', {}],
  ['bad order', 400, 'bad_query', 'denylist?sort=mood', {}],
  ['bad threat', 400, 'bad_query', 'denylist?threat=weather', {}],
  ['bad days', 400, 'bad_query', 'history?days=31', {}],
];

describe('is refused, and changes nothing:', () => {
  for (const [name, status, code, path, options] of REFUSED) {
    test(name, async () => {
      const before = await state();
      const answer = await call(path, options);
      assert.deepEqual([answer.status, answer.body.status, answer.body.code], [status, status, code]);
      assert.match(answer.headers.get('content-type'), /^application\/problem\+json/);
      assert.ok(answer.body.title && answer.body.detail.length > 10);
      if (status === 405) assert.ok(answer.headers.get('allow'));
      assert.equal(await state(), before);
    });
  }

  test('bad times', async () => {
    const name = await application();
    const before = await state();
    for (const ttl of [0, -1, '', 'soon', '1y 2q', 366 * 86_400, null, true]) {
      const { body } = await change('POST', 'denylist', { application: name, address: '198.51.100.252', ttl });
      assert.equal(body.code, 'bad_ttl', String(ttl));
    }
    assert.equal(await state(), before);
  });
});

describe('files', () => {
  test('carry the policy and their type', async () => {
    for (const [name, type] of [
      ['', 'text/html'],
      ['app.js', 'text/javascript'],
      ['base.css', 'text/css'],
      ['icon.svg', 'image/svg+xml'],
    ]) {
      const response = await fetch(new URL(name, it.url));
      assert.equal(response.status, 200, name);
      assert.ok(response.headers.get('content-type').startsWith(type), name);
      assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
      const policy = response.headers.get('content-security-policy');
      for (const part of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"])
        assert.ok(policy.includes(part), policy);
      assert.ok(!policy.includes('unsafe'), policy);
    }
  });

  test('and nothing else is there', async () => {
    for (const name of ['nothing.js', '../server.js', '%2e%2e/server.js', '.hidden', 'api']) {
      const response = await fetch(new URL(name, it.url), { redirect: 'manual' });
      assert.equal(response.status, 404, name);
    }
  });
});
