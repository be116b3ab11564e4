// GET api/incidents and api/history of the mock.

import { checkThreat, matches, ok, page, Problem } from './checks.js';
import { HOUR_MS, rfc3339 } from './world.js';

/** GET api/incidents */
export function incidents(world, now, arguments_) {
  const { application, threat, q } = arguments_;
  checkThreat(threat, false);
  const found = world.incidents.filter(
    (entry) =>
      (!application || entry.application === application) &&
      (!threat || entry.threat === threat) &&
      (!q || matches(q, { ...entry, incident: entry.id })),
  );
  return page(found, { limit: '100', ...arguments_ }, 100, (entry) => listed(world, entry));
}

function listed(
  world,
  { id, application, key, threat, action, confidence, sinceMs, expiresMs, denylist: entry, tripped, grace, plot },
) {
  return {
    id,
    application,
    key,
    threat,
    action,
    confidence,
    since: rfc3339(sinceMs),
    expires: rfc3339(expiresMs),
    denylist: world.denylist.has(entry) ? entry : null,
    tripped,
    grace,
    requests: plot.requests,
  };
}

/** GET api/incidents/ID */
export function incident(world, now, arguments_, id) {
  const it = world.incidents.find((entry) => entry.id === id);
  if (!it) throw new Problem(404, 'unknown_id', 'This incident is not kept any more');
  const { plot, key, sinceMs, users } = it;
  const type = key.type;
  const firstMs = sinceMs - plot.seconds * 1000;
  const times = (index) =>
    rfc3339(sinceMs - ((plot.seconds * 1000 * (plot.paths.length - 1 - index)) / plot.paths.length) * 0.7);
  return ok({
    ...listed(world, it),
    address: it.address,
    first: rfc3339(firstMs),
    hits: world.denylist.get(it.denylist)?.hits ?? 0,
    evidence: {
      evidence: plot.findings[0].evidence,
      threshold: 20.72,
      shares: plot.shares,
      requests: plot.requests,
      seconds: plot.seconds,
      findings: plot.findings.map(({ measure, unit, value, normal, evidence }) => ({
        measure,
        threat: plot.threat,
        unit,
        value,
        normal: `< ${normal}`,
        normal_from: 'shipped',
        multiple: `${Math.round((value / normal) * 100) / 100}x`,
        evidence,
      })),
      exemplars: plot.paths
        .slice(0, 5)
        .map((path, index) => ({
          time: times(index),
          method: plot.method,
          path,
          status: plot.status,
          evidence: 3.9 - index * 0.4,
        })),
      effective_users: type === 'client' ? Math.max(users, 2) : 0,
      considered:
        type === 'client'
          ? [
              {
                alternative: 'shared_address',
                rejected: 'others there behave well; only who carries the evidence is held',
              },
            ]
          : [],
      profile_version: 12,
      tripped: it.tripped,
      grace: it.grace,
      user_agent: plot.agent,
    },
    neighbours:
      type === 'session'
        ? []
        : world.incidents
            .filter((other) => other !== it && other.key.address === key.address)
            .slice(0, 16)
            .map((other) => ({
              id: other.id,
              key: other.key,
              threat: other.threat,
              action: other.action,
              since: rfc3339(other.sinceMs),
            })),
  });
}

/** GET api/history */
export function history(world, now, { days = '30', application = '' }) {
  const count = Number(days || 30);
  if (!Number.isInteger(count) || count < 1 || count > 30)
    throw new Problem(400, 'bad_query', 'days is a number from 1 to 30', 'days');
  const from = Math.floor(now / HOUR_MS) * HOUR_MS + HOUR_MS - count * 24 * HOUR_MS;
  const mine = (row) => !application || row.application === application;
  const hours = world.hours.filter((row) => mine(row) && Date.parse(row.hour) >= from);
  const cases = world.incidents.filter((row) => mine(row) && row.sinceMs >= from);
  return ok({
    days: count,
    from: rfc3339(from),
    to: rfc3339(now),
    hours,
    top: {
      sources: top(
        cases.filter(({ address }) => address),
        ({ address }) => address,
        ({ address, application: name, threat, sinceMs }) => ({
          address,
          application: name,
          threat,
          last: rfc3339(sinceMs),
        }),
      ),
      endpoints: top(
        cases,
        ({ plot, application: name }) => `${name} ${plot.endpoint}`,
        ({ plot, application: name }) => ({ endpoint: plot.endpoint, application: name }),
      ),
      detectors: top(
        cases,
        ({ plot }) => plot.findings[0].measure,
        ({ plot }) => ({ measure: plot.findings[0].measure, threat: plot.threat }),
      ),
    },
  });
}

function top(rows, keyOf, shown) {
  const groups = new Map();
  for (const row of rows) {
    const key = keyOf(row);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()]
    .sort((a, b) => b.length - a.length)
    .slice(0, 10)
    .map((group) => ({ ...shown(group[0]), convictions: group.length }));
}
