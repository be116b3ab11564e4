// Who is never denied.

import * as actions from './actions.js';
import * as api from './api.js';
import { h } from './dom.js';
import { moment, number, visible } from './format.js';
import { button, empty, prose, raw, table, time } from './ui.js';

const LIMIT = 500;

export const allowlist = {
  title: 'Allowlist',
  every: 5000,
  load: ({ args }, signal) => api.allowlist({ limit: LIMIT, offset: args.offset, q: args.q }, signal),
  render({ entries, total, offset }, context) {
    const { refresh, go } = context;
    return h(
      'div',
      null,
      h(
        'div',
        { class: 'title-row' },
        h('h1', { tabindex: '-1' }, 'Allowlist'),
        h('p', { class: 'count', role: 'status' }, `${number(total)} ${total === 1 ? 'entry' : 'entries'}`),
        button('Allow an address', () => actions.allow('', '', refresh), { class: 'push' }),
      ),
      h(
        'p',
        { class: 'lead' },
        'Addresses and networks that are neither judged nor denied. It wins over everything, and lifts a denial at once.',
      ),
      total === 0
        ? empty(
            'Nobody is on it.',
            ...prose(
              'Monitoring probes, partners and your own offices belong here, or into `allow` of the configuration.',
            ),
          )
        : table(
            'Allowlist',
            [
              { label: 'Address' },
              { label: 'Comment', class: 'col-wide' },
              { label: 'Application' },
              { label: 'Since' },
              { label: 'Actions', class: 'right', hidden: true },
            ],
            entries.map((entry) => ({ key: entry.id, cells: row(entry, context) })),
            'rows allowed',
          ),
      total > LIMIT &&
        h(
          'p',
          { class: 'pages' },
          button('Before', () => go({ offset: Math.max(0, offset - LIMIT) }), { disabled: offset === 0 }),
          button('More', () => go({ offset: offset + LIMIT }), { disabled: offset + LIMIT >= total }),
        ),
    );
  },
};

function row(entry, { now, refresh }) {
  const configured = entry.origin === 'configuration';
  return [
    raw(entry.address),
    entry.comment ? h('bdi', { class: 'comment' }, visible(entry.comment)) : h('span', { class: 'note' }, '–'),
    entry.application ? raw(entry.application) : 'all',
    entry.since ? time(entry.since, moment(entry.since, now)) : h('span', { class: 'note' }, '–'),
    configured
      ? h('span', { class: 'note' }, 'configuration')
      : button('Remove', () => actions.disallow(entry, refresh), {
          'aria-label': `Remove ${visible(entry.address)} from the allowlist`,
        }),
  ];
}
