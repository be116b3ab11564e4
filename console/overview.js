// Every application: what it is in, what that means, traffic, denials, sensitivities.

import * as api from './api.js';
import { bars, lastDay, spark } from './charts.js';
import { h } from './dom.js';
import {
  THREATS,
  clock,
  compact,
  duration,
  number,
  percent,
  plural,
  relative,
  threatClass,
  threatName,
  visible,
} from './format.js';
import { actionPill, empty, meter, modePill, notice, prose, source, statePill, threatMark, time } from './ui.js';

/** Applications that are drawn in full; of the others there is one line each. */
const FULL = 6;

/** Requests at the last polls, by application: the live rate. */
const seen = new Map();
const SAMPLES = 60;

export const overview = {
  title: 'Overview',
  every: 5000,
  async load(_, signal) {
    const [history, recent] = await Promise.all([
      api.history({ days: 1 }, signal),
      api.incidents({ limit: 8 }, signal),
    ]);
    return { hours: history.hours, recent: recent.entries };
  },
  render(data, { status, now, route }) {
    for (const application of status.applications) sample(application, status.time);
    const only = route.args.application;
    const busy = status.applications
      .filter(({ state }) => state !== 'no_traffic')
      .sort((a, b) => b.denied_sources - a.denied_sources || total(b) - total(a));
    const full = only ? busy.filter(({ name }) => name === only) : busy.slice(0, FULL);
    const others = status.applications.filter((application) => !full.includes(application));
    return h(
      'div',
      { class: 'overview' },
      h('h1', { tabindex: '-1' }, 'Overview'),
      status.applications.length === 0 && nothing(),
      h(
        'div',
        { class: 'columns' },
        h(
          'div',
          { class: 'applications' },
          full.map((application) => card(application, data.hours, now)),
          others.length > 0 && rest(others),
        ),
        recentList(data.recent, now),
      ),
    );
  },
};

function nothing() {
  return empty(
    'No application yet.',
    ...prose('Write `api_abuse NAME;` into the server or location where requests arrive, and reload NGINX.'),
  );
}

const total = ({ requests }) => Object.values(requests).reduce((all, count) => all + count, 0);
const denied = ({ requests }) => requests.DENIED + requests.THROTTLED;
const wouldBe = ({ requests }) => requests.DENIED_MONITOR + requests.THROTTLED_MONITOR;

/** Takes in how many requests there are now. */
function sample(application, time) {
  const at = new Date(time).getTime();
  const samples = seen.get(application.name) ?? [];
  if (samples.at(-1)?.at !== at) samples.push({ at, total: total(application) });
  seen.set(application.name, samples.slice(-SAMPLES - 1));
}

/** Requests a second between polls. */
function rates(name) {
  const samples = seen.get(name) ?? [];
  return samples
    .slice(1)
    .map(({ at, total: count }, index) =>
      Math.max(0, (count - samples[index].total) / Math.max(0.1, (at - samples[index].at) / 1000)),
    );
}

function card(application, hours, now) {
  const { name } = application;
  const id = `application-${name}`;
  const buckets = lastDay(
    hours.filter((row) => row.application === name),
    now,
  );
  return h(
    'section',
    { class: 'card application', 'aria-label': visible(name), 'data-key': id },
    h(
      'header',
      { class: 'card-head' },
      h('h2', null, h('bdi', null, visible(name))),
      statePill(application.state),
      modePill(application.mode),
    ),
    messages(application, now),
    figures(application),
    h('div', { class: 'chart-pair' }, traffic(id, buckets, application), threats(id, buckets)),
    sensitivities(application),
  );
}

/** What the state means and what to do about it. */
function messages(application, now) {
  const { state, mode, learning, breaker, notes } = application;
  const left = duration(learning.remaining_seconds);
  const out = [];
  if (state === 'learning') {
    out.push(
      notice(
        'info',
        `Learning, ${left} left.`,
        ...prose('Detectors that need no learning act already. `api-abuse learn` on old logs makes it ready at once.'),
      ),
    );
  } else if (state === 'tripped') {
    out.push(
      notice(
        'bad',
        `The circuit breaker opened at ${clock(breaker.since)}: nobody is denied.`,
        `Denials would reach ${number(breaker.denied_percent)} % of the clients, more than the budget of ${number(breaker.budget_percent)} %. Look at the incidents: one address for all is a missing realip, a real attack is worth a higher `,
        ...prose('`budget`. It closes by itself.'),
      ),
    );
  } else if (mode === 'monitor') {
    out.push(
      notice(
        'info',
        'Ready, and only watching.',
        ...prose('Nobody is denied in monitor mode. When the incidents are right, set `api_abuse_mode block;`.'),
      ),
    );
  } else if (mode === 'off') {
    out.push(notice('warn', 'Switched off.', ...prose('`api_abuse_mode off` neither counts nor denies.')));
  } else {
    const last = application.last ? `Last request ${relative(application.last, now)}.` : '';
    out.push(notice('good', 'Watching and denying.', last));
  }
  if (notes.includes('one_address')) {
    out.push(
      notice(
        'warn',
        'Every client has the same address: is realip configured?',
        ...prose(
          'Behind a proxy NGINX needs `set_real_ip_from` and `real_ip_header`, or the proxy is taken for the attacker.',
        ),
      ),
    );
  }
  if (notes.includes('loopback_only')) {
    out.push(
      notice(
        'warn',
        'All requests come from this machine.',
        ...prose(
          'Detectors never deny loopback addresses. Is realip configured? For tests there is `api_abuse_deny_loopback on;`.',
        ),
      ),
    );
  }
  return h('div', { class: 'messages' }, out);
}

function figures(application) {
  const rate = rates(application.name);
  const all = total(application);
  const bad = denied(application) + wouldBe(application);
  const now = rate.length ? rate.at(-1) : 0;
  const last = rate.length ? `${number(Number(now.toFixed(now < 10 ? 1 : 0)))} a second now` : 'counting…';
  const { clients } = application;
  return h(
    'dl',
    { class: 'figures' },
    figure('Requests', compact(all), [last, spark(rate, `Requests a second: ${last}`)]),
    figure(application.mode === 'monitor' ? 'Would be denied' : 'Denied', compact(bad), [
      percent(all ? bad / all : 0),
      ' of requests',
    ]),
    figure(
      application.mode === 'monitor' ? 'Sources that would be' : 'Sources denied',
      number(application.denied_sources),
      [h('a', { href: `#/denylist${api.query({ application: application.name })}` }, 'see them')],
    ),
    figure('Clients active', compact(clients.active), [
      // Fewer than 200 never open the breaker.
      `${number(application.breaker.denied_percent)} % denied; budget ${number(application.breaker.budget_percent)} %, from 200 on`,
    ]),
  );
}

function figure(label, value, note) {
  return h(
    'div',
    { class: 'figure' },
    h('dt', null, label),
    h('dd', null, h('span', { class: 'value' }, value), h('span', { class: 'note' }, note)),
  );
}

function traffic(id, buckets, { mode }) {
  const word = mode === 'monitor' ? 'would be denied' : 'denied';
  const sum = buckets.reduce((all, { row }) => [all[0] + row.requests, all[1] + row.denied + row.throttled], [0, 0]);
  return bars({
    id: `${id}-traffic`,
    title: 'Requests, 24 hours',
    buckets: buckets.map(({ label, axis, row }) => {
      const bad = row.denied + row.throttled;
      return { label, axis, values: { denied: bad, served: Math.max(0, row.requests - bad) } };
    }),
    series: [
      { key: 'denied', label: word, class: 'bar-denied' },
      { key: 'served', label: 'served', class: 'bar-served' },
    ],
    sum: `${compact(sum[0])} requests, ${compact(sum[1])} ${word}`,
  });
}

function threats(id, buckets) {
  const sum = buckets.reduce((all, { row }) => all + Object.values(row.threats).reduce((a, b) => a + b, 0), 0);
  return bars({
    id: `${id}-threats`,
    title: 'Convictions by threat',
    buckets: buckets.map(({ label, axis, row }) => ({ label, axis, values: row.threats })),
    series: THREATS.map(([key, label]) => ({ key, label, class: threatClass(key) })),
    sum: plural(sum, 'conviction'),
  });
}

function sensitivities({ would_deny: counts }) {
  const most = Math.max(1, ...Object.values(counts));
  return h(
    'div',
    { class: 'sensitivities' },
    h('h3', null, 'Sources that each sensitivity would have denied'),
    h(
      'dl',
      null,
      ['safe', 'normal', 'paranoid'].map((name) =>
        h(
          'div',
          null,
          h('dt', null, name),
          h(
            'dd',
            null,
            meter((counts[name] ?? 0) / most, `sensitivity-${name}`),
            h('b', null, number(counts[name] ?? 0)),
          ),
        ),
      ),
    ),
  );
}

function rest(applications) {
  return h(
    'section',
    { class: 'card', 'aria-labelledby': 'rest' },
    h('h2', { id: 'rest' }, 'Other applications'),
    h(
      'ul',
      { class: 'rest' },
      applications.map((application) =>
        h(
          'li',
          { 'data-key': application.name },
          h('bdi', { class: 'strong' }, visible(application.name)),
          statePill(application.state),
          application.state === 'no_traffic'
            ? h('p', null, ...prose('No traffic yet: is `api_abuse` enabled where requests arrive?'))
            : h(
                'a',
                { href: `#/${api.query({ application: application.name })}` },
                plural(application.denied_sources, 'source'),
                ' denied',
              ),
        ),
      ),
    ),
  );
}

function recentList(entries, now) {
  return h(
    'section',
    { class: 'card recent', 'aria-labelledby': 'recent' },
    h(
      'header',
      { class: 'card-head' },
      h('h2', { id: 'recent' }, 'Latest convictions'),
      h('a', { href: '#/incidents' }, 'All'),
    ),
    entries.length === 0
      ? empty('None yet.', 'Nobody has been convicted. That is what it looks like when all is well.')
      : h(
          'ol',
          null,
          entries.map((entry) =>
            h(
              'li',
              { 'data-key': entry.id },
              h(
                'a',
                {
                  href: `#/incidents/${encodeURIComponent(entry.id)}`,
                  'aria-label': `${threatName(entry.threat)}, incident ${visible(entry.id)}`,
                },
                threatMark(entry.threat),
              ),
              actionPill(entry.action),
              source(entry.key),
              h(
                'span',
                { class: 'note' },
                h('bdi', null, visible(entry.application)),
                ' · ',
                time(entry.since, relative(entry.since, now)),
              ),
            ),
          ),
        ),
  );
}
