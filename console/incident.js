// One conviction: what was seen, what is normal, and who it is about.

import * as actions from './actions.js';
import * as api from './api.js';
import { multiple } from './charts.js';
import { h } from './dom.js';
import {
  clock,
  duration,
  moment,
  nats,
  number,
  percent,
  plural,
  relative,
  threatName,
  visible,
  who,
  words,
} from './format.js';
import { actionPill, button, empty, meter, notice, raw, source, table, threatMark, time } from './ui.js';

export const incident = {
  title: 'Incident',
  every: 5000,
  load: ({ id }, signal) => api.incident(id, signal),
  render(data, context) {
    return h(
      'article',
      { class: 'incident' },
      head(data, context),
      undone(data),
      h(
        'div',
        { class: 'columns' },
        h('div', null, why(data), findings(data.evidence), exemplars(data.evidence, context.now)),
        h(
          'div',
          null,
          timeline(data, context.now),
          address(data, context.now),
          shares(data.evidence),
          client(data),
        ),
      ),
    );
  },
};

function head(data, { now, refresh }) {
  const live = data.denylist && {
    id: data.denylist,
    key: data.key,
    ttl_seconds: (new Date(data.expires) - new Date(data.since)) / 1000,
  };
  return h(
    'header',
    { class: 'incident-head' },
    h('p', { class: 'crumb' }, h('a', { href: '#/incidents' }, 'Incidents'), ' / ', raw(data.id)),
    h(
      'div',
      { class: 'title-row' },
      h('h1', { tabindex: '-1' }, threatName(data.threat)),
      actionPill(data.action),
      h('span', { class: 'pill' }, `${number(data.confidence)} % certain`),
    ),
    h(
      'p',
      { class: 'lead' },
      source(data.key),
      ' in ',
      raw(data.application, 'strong'),
      live
        ? [
            ', ends ',
            time(data.expires, relative(data.expires, now)),
            `, ${plural(data.hits, 'request')} stopped since`,
          ]
        : ', not denied now',
    ),
    h(
      'div',
      { class: 'buttons' },
      live && button('Lift', () => actions.lift(live, refresh), { class: 'primary' }),
      live && button('Extend', () => actions.extend(live, refresh)),
      data.key.address && button('Allowlist', () => actions.allow(data.key.address, `incident ${data.id}`, refresh)),
    ),
  );
}

/** Why nothing was done, when nothing was. */
function undone(data) {
  if (data.tripped)
    return notice(
      'warn',
      'Nothing was done: the circuit breaker was open.',
      'Denials would have reached too many of the clients that are active.',
    );
  if (data.grace)
    return notice(
      'info',
      'Nothing was done: it had been lifted lately.',
      'It does what it did before, and nothing new.',
    );
  if (data.action === 'monitor') return notice('info', 'Nothing was done:', 'the policy only watches this threat.');
  return null;
}

function section(title, ...content) {
  const id = title.toLowerCase().replaceAll(/[^a-z]+/g, '-');
  return h('section', { class: 'card', 'aria-labelledby': id }, h('h2', { id }, title), content);
}

function why({ evidence: all, threat }) {
  const most = Math.max(all.evidence, all.threshold) * 1.1;
  return section(
    'Evidence',
    h(
      'p',
      null,
      'After ',
      h('b', null, plural(all.requests, 'request')),
      ' in ',
      h('b', null, duration(all.seconds)),
      ', this looked e',
      h('sup', null, nats(all.evidence)),
      ` times likelier as ${threatName(threat).toLowerCase()} than as the most unusual normal source.`,
    ),
    h(
      'dl',
      { class: 'scale-pair' },
      h(
        'div',
        null,
        h('dt', null, 'Evidence'),
        h('dd', null, meter(all.evidence / most, 'strong'), h('b', null, `${nats(all.evidence)} nats`)),
      ),
      h(
        'div',
        null,
        h('dt', null, 'Threshold'),
        h('dd', null, meter(all.threshold / most, 'faint'), h('b', null, `${nats(all.threshold)} nats`)),
      ),
    ),
    all.considered.length > 0 && h('h3', null, 'Considered, and rejected'),
    all.considered.length > 0 &&
      h(
        'ul',
        null,
        all.considered.map((row) => h('li', null, words(row.alternative), ': ', visible(row.rejected))),
      ),
    h(
      'p',
      { class: 'note' },
      all.profile_version > 0
        ? `Held against version ${number(all.profile_version)} of what was learned here.`
        : 'Nothing was learned here yet: held against what is normal everywhere.',
    ),
  );
}

function findings({ findings: rows }) {
  if (!rows.length)
    return section(
      'What was unusual',
      empty('Nothing was kept.', 'The evidence is the sum of many requests; see them below.'),
    );
  return section(
    'What was unusual',
    table(
      'Value, normal and multiple of what detectors saw',
      [
        { label: 'Detector', class: 'col-wide' },
        { label: 'Value', class: 'right' },
        { label: 'Normal', class: 'right' },
        { label: 'Multiple', class: 'right' },
        { label: 'Compared with normal', class: 'col-bar', hidden: true },
        { label: 'Evidence', class: 'right' },
      ],
      rows.map((row) => ({
        key: `${row.measure}-${row.threat}`,
        cells: [
          h('span', { class: 'finding' }, words(row.measure), h('span', { class: 'note' }, visible(row.unit))),
          h('b', { class: 'value' }, number(row.value)),
          h('span', null, visible(row.normal), row.normal_from === 'learned' && h('span', { class: 'note' }, 'learned')),
          h('b', { class: 'times' }, visible(row.multiple)),
          multiple(row.value, parseFloat(String(row.normal).replace(/[^0-9.]/g, ''))),
          `${nats(row.evidence)} nats`,
        ],
      })),
      'findings',
    ),
  );
}

function exemplars({ exemplars: rows }, now) {
  if (!rows.length)
    return section('Requests', empty('No request was kept.', 'Only sources under suspicion have their requests kept.'));
  return section(
    'Requests that show it',
    table(
      'Exemplar requests',
      [
        { label: 'Time' },
        { label: 'Request', class: 'col-wide' },
        { label: 'Status', class: 'right' },
        { label: 'Evidence', class: 'right' },
      ],
      rows.map((row, index) => ({
        key: String(index),
        cells: [
          time(row.time, moment(row.time, now)),
          h('span', { class: 'request' }, h('span', { class: 'method' }, visible(row.method)), ' ', raw(row.path)),
          h('span', { class: `status-${Math.floor(row.status / 100)}` }, String(row.status)),
          `${nats(row.evidence)} nats`,
        ],
      })),
      'requests',
    ),
  );
}

/** What happened when; seconds are counted from the first request. */
function timeline(data, now) {
  const first = new Date(data.first ?? data.since).getTime();
  const events = [
    [data.first, 'First request', null],
    ...data.evidence.exemplars.map((row) => [row.time, 'Request', `${row.method} ${row.path}`]),
    [
      data.since,
      data.action === 'monitor' ? 'Convicted' : 'Convicted and denied',
      plural(data.evidence.requests, 'request'),
    ],
    [data.expires, data.denylist ? 'Ends' : 'Would have ended', null],
  ].filter(([at]) => at);
  events.sort((a, b) => new Date(a[0]) - new Date(b[0]));
  return section(
    'Timeline',
    h(
      'ol',
      { class: 'timeline' },
      events.map(([at, what, detail]) => {
        const seconds = (new Date(at).getTime() - first) / 1000;
        return h(
          'li',
          { class: `${what === 'Request' ? 'minor' : ''} ${new Date(at).getTime() > now ? 'future' : ''}` },
          h('span', { class: 'offset' }, seconds > 0 ? `+${duration(seconds)}` : time(at, clock(at))),
          h('span', null, what, detail && h('span', { class: 'note' }, raw(detail, 'clip'))),
        );
      }),
    ),
  );
}

function address(data, now) {
  const { effective_users: users } = data.evidence;
  if (data.key.type === 'session') return null;
  return section(
    'Who else is at this address',
    h(
      'p',
      null,
      users > 0
        ? [
            h('b', null, plural(users, 'other client')),
            ` ${users === 1 ? 'behaves' : 'behave'} well there, and ${users === 1 ? 'is' : 'are'} still served.`,
          ]
        : 'Nobody else who behaves well was seen there.',
    ),
    data.neighbours.length > 0 && h('h3', null, 'Convicted there too'),
    data.neighbours.length > 0 &&
      h(
        'ul',
        { class: 'neighbours' },
        data.neighbours.map((row) =>
          h(
            'li',
            { 'data-key': row.id },
            h(
              'a',
              {
                href: `#/incidents/${encodeURIComponent(row.id)}`,
                'aria-label': `${threatName(row.threat)} by ${who(row.key)}`,
              },
              threatMark(row.threat),
            ),
            source(row.key),
            h('span', { class: 'note' }, time(row.since, relative(row.since, now))),
          ),
        ),
      ),
  );
}

function shares({ shares: all }) {
  const rows = Object.entries(all).sort((a, b) => b[1] - a[1]);
  return section(
    'Why this threat and not another',
    h(
      'dl',
      { class: 'shares' },
      rows.map(([slug, share]) =>
        h('div', null, h('dt', null, threatMark(slug)), h('dd', null, meter(share), h('b', null, percent(share)))),
      ),
    ),
  );
}

function client(data) {
  return section(
    'Client',
    h(
      'dl',
      { class: 'plain' },
      h('div', null, h('dt', null, 'Address'), h('dd', null, data.address ? raw(data.address) : '–')),
      h(
        'div',
        null,
        h('dt', null, 'Fingerprint'),
        h('dd', null, data.key.fingerprint ? raw(data.key.fingerprint) : '–'),
      ),
      h(
        'div',
        null,
        h('dt', null, 'User-Agent'),
        h('dd', null, data.evidence.user_agent ? raw(data.evidence.user_agent, 'wrap') : 'none sent'),
      ),
    ),
  );
}
