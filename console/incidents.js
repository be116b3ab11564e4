// Convictions, newest first.

import * as api from './api.js';
import { h } from './dom.js';
import { THREATS, moment, number, plural, threatName, visible, who } from './format.js';
import {
  actionPill,
  button,
  empty,
  field,
  raw,
  searchField,
  select,
  source,
  stopSearch,
  table,
  threatMark,
  time,
} from './ui.js';

const LIMIT = 100;
const COLUMNS = [
  { label: 'When', class: 'col-when' },
  { label: 'Threat' },
  { label: 'Source' },
  { label: 'Application' },
  { label: 'Requests before', class: 'right' },
  { label: 'Confidence', class: 'right' },
  { label: 'What was done' },
];

export const incidents = {
  title: 'Incidents',
  every: 5000,
  load: ({ args }, signal) => api.incidents({ ...args, limit: LIMIT }, signal),
  render({ entries, total, offset }, { route, status, now, go }) {
    const { application = '', threat = '', q = '' } = route.args;
    const choose = (name) => (event) => go({ [name]: event.target.value, offset: '' });
    return h(
      'div',
      null,
      h(
        'div',
        { class: 'title-row' },
        h('h1', { tabindex: '-1' }, 'Incidents'),
        h('p', { class: 'count', role: 'status' }, plural(total, 'incident')),
      ),
      h(
        'form',
        { class: 'filters', role: 'search', 'aria-label': 'Incidents', onsubmit: (event) => event.preventDefault() },
        searchField(q, 'address, CIDR, number', (text) => go({ q: text, offset: '' })),
        field(
          'Application',
          select(
            'application',
            application,
            [['', 'All'], ...status.applications.map(({ name }) => [name, visible(name)])],
            choose('application'),
          ),
        ),
        field('Threat', select('threat', threat, [['', 'All'], ...THREATS], choose('threat'))),
      ),
      entries.length === 0
        ? empty(
            'No incident.',
            application || threat || q
              ? 'Nothing matches: try fewer filters.'
              : 'Nobody has been convicted yet. What is learned, and for how long, is on the overview.',
          )
        : table(
            'Incidents',
            COLUMNS,
            entries.map((entry) => ({ key: entry.id, cells: row(entry, now) })),
            'rows convicted',
          ),
      total > LIMIT &&
        h(
          'div',
          { class: 'pages' },
          button('Newer', () => go({ offset: Math.max(0, offset - LIMIT) || '' }), { disabled: offset === 0 }),
          h('span', null, `${number(offset + 1)} to ${number(offset + entries.length)}`),
          button('Older', () => go({ offset: offset + LIMIT }), { disabled: offset + entries.length >= total }),
        ),
    );
  },
  leave: () => stopSearch(),
};

function row(entry, now) {
  return [
    h(
      'a',
      {
        href: `#/incidents/${encodeURIComponent(entry.id)}`,
        'aria-label': `${threatName(entry.threat)} by ${who(entry.key)}, ${moment(entry.since, now)}`,
      },
      time(entry.since, moment(entry.since, now)),
    ),
    threatMark(entry.threat),
    source(entry.key),
    raw(entry.application, 'clip'),
    number(entry.requests),
    `${number(entry.confidence)} %`,
    actionPill(entry.action),
  ];
}
