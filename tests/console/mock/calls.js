// The other calls of docs/api.md over a World. Each returns {status, body, headers}; a Problem is what is refused.

import { contains, parse } from './address.js';
import { addressIn, checkThreat, matches, members, ok, page, Problem, ttlOf } from './checks.js';
import { rfc3339 } from './world.js';

/** GET api/status */
export function status(world, now) {
  world.live(now);
  const { up, lag, dropped, lost } = world.parts;
  const count = (name) => [...world.denylist.values()].filter((entry) => entry.application === name).length;
  return ok({
    version: '0.1.0',
    nginx: '1.22.1',
    time: rfc3339(now),
    started: rfc3339(world.started),
    mode: world.mode ?? 'mixed',
    applications: world.applications.map((application) =>
      oneApplication(application, count(application.name), world, now),
    ),
    health: world.noZone
      ? null
      : {
          zone: { name: 'abuse', bytes: 33_554_432 },
          detector: {
            up,
            process: up ? 4711 : null,
            runs_in: 'worker',
            last_turn: rfc3339(now - 3),
            lag_seconds: lag,
            takeovers: 1,
            panics: 0,
          },
          ring: {
            lanes: 16,
            claimed: 4,
            records_pushed: 1_884_001,
            records_judged: 1_884_001,
            records_dropped: dropped,
            records_invalid: 0,
            garbage: 0,
          },
          enforcement: { count: 331, p50_seconds: 0.0022, p99_seconds: 0.0046 },
          tables: [
            { name: 'denylist', used: world.denylist.size, size: 131_072, lost },
            { name: 'sources', used: 20_110, size: 32_768, lost: 0 },
            { name: 'incidents', used: world.incidents.length, size: 2048, lost: 0 },
            { name: 'applications', used: world.applications.length, size: 64, lost: 0 },
            { name: 'allowlist', used: world.allowlist.size, size: 1024, lost: 0 },
          ],
          state_file: { path: '/var/lib/nginx/api_abuse', saved: rfc3339(now - 41_000), errors: 0 },
          denylist_unreadable: 0,
          callback_panics: 0,
          log_lines_dropped: 0,
        },
  });
}

function oneApplication({ name, state, mode, requests, would_deny, notes }, denied, world, now) {
  const quiet = state === 'no_traffic';
  const decisions = {};
  for (const { application, threat, action } of world.incidents) {
    if (application !== name) continue;
    decisions[threat] ??= { monitor: 0, throttle: 0, deny: 0 };
    decisions[threat][action] += 1;
  }
  const tripped = state === 'tripped';
  const active = quiet ? 0 : Math.max(denied + 200, name === 'shop' ? 1912 : 640);
  return {
    name,
    state,
    mode,
    first: quiet ? null : rfc3339(world.started),
    last: quiet ? null : rfc3339(now - 300),
    learning: { duration_seconds: 86_400, remaining_seconds: state === 'learning' ? 11_520 : quiet ? 86_400 : 0 },
    requests,
    decisions,
    would_deny,
    denied_sources: denied,
    clients: { active, denied },
    breaker: {
      open: tripped,
      since: tripped ? rfc3339(now - 8 * 60_000) : null,
      denied_percent: active ? Math.round((denied / (active - denied + 1)) * 1000) / 10 : 0,
      budget_percent: 5,
      trips: Number(tripped),
    },
    notes,
  };
}

/** GET api/denylist */
export function denylist(world, now, arguments_) {
  world.live(now);
  const { application, threat, type, q } = arguments_;
  const sort = arguments_.sort || '-since';
  const order = ORDERS[sort.replace(/^-/, '')];
  if (!order)
    throw new Problem(
      400,
      'bad_query',
      `${sort} is no order: since, expires, hits, confidence or address, with - in front when descending`,
      'sort',
    );
  checkThreat(threat, true);
  const wanted = (entry) =>
    (!application || entry.application === application) &&
    (!threat || entry.threat === (threat === 'none' ? null : threat)) &&
    (!type || entry.key.type === type) &&
    (!q || matches(q, entry));
  const name = JSON.stringify([application, threat, type, q, sort, world.denylist.size]);
  const sign = sort.startsWith('-') ? -1 : 1;
  const found = recent(name, now, () =>
    [...world.denylist.values()]
      .filter(wanted)
      .map((entry) => [order(entry), entry])
      .sort((a, b) => (a[0] < b[0] ? -sign : a[0] > b[0] ? sign : a[1].id < b[1].id ? -1 : 1))
      .map(([, entry]) => entry),
  );
  return page(found, arguments_, 1000, denial);
}

const sorted = new Map();

/** A sorted list that was made for the same question in the last two seconds, or a new one. */
function recent(name, now, make) {
  const known = sorted.get(name);
  if (known && now - known.at < 2000) return known.list;
  if (sorted.size > 8) sorted.clear();
  const list = make();
  sorted.set(name, { at: now, list });
  return list;
}

const ORDERS = {
  since: (entry) => entry.sinceMs,
  expires: (entry) => entry.expiresMs,
  hits: (entry) => entry.hits,
  confidence: (entry) => entry.confidence,
  address: (entry) => parse(entry.key.address ?? '::')?.value ?? 0n,
};

function denial({ id, application, key, threat, action, confidence, incident, sinceMs, expiresMs, ttl, hits, origin }) {
  return {
    id,
    application,
    key,
    threat,
    action,
    confidence,
    incident,
    since: rfc3339(sinceMs),
    expires: rfc3339(expiresMs),
    ttl_seconds: ttl / 1000,
    hits,
    origin,
  };
}

/** POST api/denylist */
export function deny(world, now, body) {
  members(body, ['application', 'address'], ['ttl']);
  const address = addressIn(body, false);
  if (!world.applications.some(({ name }) => name === body.application))
    throw new Problem(422, 'unknown_application', `There is no application ${body.application}`, 'application');
  for (const entry of world.allowlist.values()) {
    if (contains(parse(entry.address), address))
      throw new Problem(
        409,
        'allowlisted',
        `${body.address} is on the allowlist as ${entry.address}: remove it there first`,
        'address',
      );
  }
  const ttl = ttlOf('ttl' in body ? body.ttl : 3600);
  const id = `o-${body.application.length}-${address.value.toString(16)}`;
  const was = world.denylist.get(id);
  const entry = {
    id,
    application: body.application,
    key: { type: 'address', address: body.address },
    threat: null,
    action: 'deny',
    confidence: 100,
    incident: null,
    sinceMs: was?.sinceMs ?? now,
    expiresMs: now + ttl,
    ttl,
    hits: was?.hits ?? 0,
    origin: 'operator',
  };
  world.denylist.set(id, entry);
  return ok(denial(entry), was ? 200 : 201, { Location: `denylist/${id}` });
}

const denied = (world, id) => {
  const entry = world.denylist.get(id);
  if (!entry) throw new Problem(404, 'unknown_id', 'There is no such entry any more');
  return entry;
};

/** PATCH api/denylist/ID */
export function extend(world, now, body, id) {
  const entry = denied(world, id);
  members(body, ['ttl'], []);
  entry.expiresMs = now + ttlOf(body.ttl);
  entry.ttl = entry.expiresMs - entry.sinceMs;
  const incident = world.incidents.find(({ denylist: of }) => of === id);
  if (incident) incident.expiresMs = entry.expiresMs;
  return ok(denial(entry));
}

/** DELETE api/denylist/ID */
export function lift(world, now, body, id) {
  denied(world, id);
  world.denylist.delete(id);
  return ok(null, 204);
}

/** GET api/allowlist */
export function allowlist(world, now, arguments_) {
  const entries = [...world.allowlist.values()].filter(
    ({ address, comment }) => !arguments_.q || address.includes(arguments_.q) || comment.includes(arguments_.q),
  );
  return page(entries, arguments_, 1000, (entry) => entry);
}

/** POST api/allowlist */
export function allow(world, now, body) {
  members(body, ['address'], ['comment']);
  const network = addressIn(body, true);
  const comment = body.comment ?? '';
  if (typeof comment !== 'string' || Buffer.byteLength(comment) > 128)
    throw new Problem(422, 'bad_comment', 'A comment has at most 128 bytes', 'comment');
  const id = `a-${network.value.toString(16)}-${network.bits}`;
  const was = world.allowlist.get(id);
  const entry = {
    id,
    address: body.address,
    comment,
    application: null,
    since: was?.since ?? rfc3339(now),
    origin: 'operator',
  };
  world.allowlist.set(id, entry);
  for (const [key, { key: who }] of world.denylist) {
    const address = parse(who.address ?? '');
    if (address && (contains(network, address) || contains(address, network))) world.denylist.delete(key);
  }
  return ok(entry, was ? 200 : 201, { Location: `allowlist/${id}` });
}

/** DELETE api/allowlist/ID */
export function disallow(world, now, body, id) {
  const entry = world.allowlist.get(id);
  if (!entry) throw new Problem(404, 'unknown_id', 'There is no such entry any more');
  if (entry.origin === 'configuration')
    throw new Problem(409, 'configured', 'The configuration says so: change it there');
  world.allowlist.delete(id);
  return ok(null, 204);
}
