// What a shop's NGINX could have seen: the state behind the mock of the API. Times count back from
// now; everything else follows from the seed.

import { addressOf } from './address.js';
import { HOSTILE, PLOTS } from './plots.js';
import { Random } from './random.js';

export const HOUR_MS = 3_600_000;
export const THREATS = [
  'resource_exhaustion',
  'credential_stuffing',
  'account_creation',
  'spamming',
  'scalping',
  'vulnerability_scanning',
  'scraping',
  'bola',
];
export const rfc3339 = (ms) => new Date(ms).toISOString();

const KEYS = { shop: '5f0c11d2a9b3e470', 'api.example.com': '81b2c0994de1f735' };
const COUNTS = ['PASSED', 'BYPASSED', 'ALLOWED', 'DENIED', 'THROTTLED', 'DENIED_MONITOR', 'THROTTLED_MONITOR'];

export class World {
  /** `denials`: entries of the denylist; `hostile`: whether texts try to break out. */
  constructor({ seed = 1, denials = 40, hostile = true, now = Date.now() } = {}) {
    this.random = new Random(seed);
    this.started = now - 22 * 24 * HOUR_MS;
    this.hostile = hostile;
    this.denylist = new Map();
    this.incidents = [];
    this.allowlist = new Map();
    this.applications = [
      application('shop', 'ready', 'block', { PASSED: 1_834_211, ALLOWED: 911, DENIED: 48_122 }, [240, 329, 402]),
      application('api.example.com', 'learning', 'monitor', { PASSED: 91_442, DENIED_MONITOR: 1210 }, [4, 9, 17]),
      application('intranet', 'no_traffic', 'monitor', {}, [0, 0, 0]),
    ];
    this.parts = { up: true, lag: 0, dropped: 0, lost: 0 };
    this.seedIncidents(now);
    this.seedDenials(denials, now);
    this.seedAllowlist(now);
    this.hours = this.seedHours(now);
  }

  seedIncidents(now) {
    for (let n = 0; n < 140; n += 1) {
      const age = n < 6 ? n * 7 * 60_000 + 40_000 : (n - 5) * 5 * HOUR_MS * (0.4 + this.random.next());
      this.convict(PLOTS[n % PLOTS.length], now - age, n % 9 === 4 ? 'api.example.com' : 'shop', now);
    }
    if (this.hostile)
      for (const [n, text] of HOSTILE.entries()) {
        const plot = {
          ...PLOTS[n % PLOTS.length],
          agent: text,
          paths: [`/search?q=${text}`.slice(0, 104), ...PLOTS[0].paths],
        };
        this.convict(plot, now - 90_000 - n * 45_000, 'shop', now);
      }
    this.incidents.sort((a, b) => b.sinceMs - a.sinceMs);
    // The newest ones stand for the same shared office address.
    const [first, ...rest] = this.incidents.filter(
      ({ key, application: name }) => key.type === 'client' && name === 'shop',
    );
    for (const other of rest.slice(2, 4)) this.move(other, first.key.address);
  }

  move(incident, address) {
    const entry = this.denylist.get(incident.denylist);
    incident.address = address;
    incident.key.address = address;
    if (entry) entry.key.address = address;
  }

  /** A source does what `plot` says until it is convicted at `sinceMs`. */
  convict(plot, sinceMs, name, now = Date.now()) {
    const random = this.random;
    const id = (this.incidents.length + 0x101).toString(16).padStart(8, '0');
    const key = this.source(plot.type);
    const monitored = name !== 'shop';
    const ttl = monitored ? HOUR_MS : random.of([1, 1, 1, 2, 4]) * HOUR_MS;
    const incident = {
      id,
      application: name,
      key,
      plot,
      threat: plot.threat,
      action: plot.action ?? 'deny',
      confidence: random.whole(94, 99),
      sinceMs,
      expiresMs: sinceMs + ttl,
      address: key.type === 'session' ? null : key.address.replace('/64', 'a1b2'),
      denylist: null,
      tripped: false,
      grace: false,
      users: random.of([0, 0, 1, 3, 12]),
      agent: plot.agent,
      scale: 0.8 + random.next() * 0.5,
    };
    this.incidents.unshift(incident);
    if (incident.expiresMs > now && incident.action !== 'monitor') {
      const entry = this.entry(incident, ttl);
      incident.denylist = entry.id;
      this.denylist.set(entry.id, entry);
    }
    return incident;
  }

  entry({ id, application: name, key, threat, action, confidence, sinceMs, expiresMs }, ttl) {
    const number = this.random.hex(12);
    return {
      id: `${KEYS[name]}-${['address', 'client', 'session'].indexOf(key.type)}-${number}-${this.random.hex(16)}`,
      application: name,
      key: { ...key },
      threat,
      action,
      confidence,
      incident: id,
      sinceMs,
      expiresMs,
      ttl,
      hits: Math.floor(this.random.next() ** 4 * 9000),
      origin: 'detector',
    };
  }

  source(type = 'client') {
    const random = this.random;
    if (type === 'session') return { type, session: random.hex(16) };
    const address =
      random.next() < 0.15
        ? `2001:db8:${random.hex(3)}:${random.whole(1, 9)}::/64`
        : `${random.of(['203.0.113', '198.51.100', '192.0.2'])}.${random.whole(1, 254)}`;
    return type === 'address' ? { type, address } : { type, address, fingerprint: random.hex(16) };
  }

  /** Fills up the denylist with entries whose incidents are no longer kept. */
  seedDenials(count, now) {
    for (let n = this.denylist.size; n < count; n += 1) {
      const plot = this.random.of(PLOTS);
      const sinceMs = now - Math.floor(this.random.next() * 50 * 60_000) - 60_000;
      const key =
        plot.type === 'session' ? this.source('session') : { ...this.source(plot.type), address: addressOf(n) };
      const ttl = HOUR_MS * this.random.of([1, 2, 4, 24]);
      const entry = this.entry(
        {
          id: null,
          application: 'shop',
          key,
          threat: plot.threat,
          action: 'deny',
          confidence: this.random.whole(90, 99),
          sinceMs,
          expiresMs: sinceMs + ttl,
        },
        ttl,
      );
      this.denylist.set(entry.id, entry);
    }
  }

  seedAllowlist(now) {
    const add = (id, address, comment, origin, name = null) =>
      this.allowlist.set(id, {
        id,
        address,
        comment,
        application: name,
        since: origin === 'operator' ? rfc3339(now - 40 * HOUR_MS) : null,
        origin,
      });
    add('a-1', '192.0.2.0/24', this.hostile ? HOSTILE[0] : 'office', 'operator');
    add('a-2', '198.51.100.77', 'uptime probe, ticket 4711', 'operator');
    add('c-0', '2001:db8:40::/48', '', 'configuration', 'shop');
  }

  /** A row for each hour of 22 days and each application with traffic. */
  seedHours(now) {
    const rows = [];
    const current = Math.floor(now / HOUR_MS) * HOUR_MS;
    for (let age = 22 * 24; age >= 0; age -= 1) {
      const at = current - age * HOUR_MS;
      const day = 0.55 + 0.45 * Math.sin(((((at / HOUR_MS) % 24) - 8) / 24) * 2 * Math.PI);
      const wave = age % 53 < 4 ? 6 : 1;
      rows.push(this.hour(at, 'shop', 6200 * day, 1.2 * wave, 0.012 * wave));
      if (age < 21) rows.push(this.hour(at, 'api.example.com', 4100 * day, 0.4, 0.013));
    }
    return rows;
  }

  hour(at, name, load, convictions, share) {
    const random = this.random;
    const requests = Math.round(load * (0.85 + random.next() * 0.3)) + 40;
    const threats = {};
    for (let n = random.whole(0, Math.ceil(convictions * 3)); n > 0; n -= 1) {
      const { threat } = random.of(PLOTS);
      threats[threat] = (threats[threat] ?? 0) + 1;
    }
    return {
      hour: rfc3339(at),
      application: name,
      requests,
      denied: Math.round(requests * share * (0.4 + random.next())),
      throttled: 0,
      threats,
    };
  }

  /** Traffic goes on: each call is a little later. */
  live(now = Date.now()) {
    const seconds = Math.max(0, (now - (this.lastMs ?? now)) / 1000);
    this.lastMs = now;
    for (const { state, requests } of this.applications) {
      if (state === 'no_traffic') continue;
      requests.PASSED += Math.round(seconds * (38 + 14 * Math.sin(now / 9000)));
    }
    for (const [id, entry] of this.denylist) if (entry.expiresMs <= now) this.denylist.delete(id);
  }
}

function application(name, state, mode, counts, [safe, normal, paranoid]) {
  const requests = Object.fromEntries(COUNTS.map((status) => [status, counts[status] ?? 0]));
  return { name, state, mode, requests, would_deny: { safe, normal, paranoid }, notes: [], breaker: null };
}
