// Who is denied: search, filters, order, and what can be done about each.

import * as actions from './actions.js';
import * as api from './api.js';
import { h } from './dom.js';
import { THREATS, compact, number, relative, threatName, visible, who } from './format.js';
import { VirtualTable } from './virtual.js';
import {
  actionPill,
  button,
  empty,
  field,
  prose,
  raw,
  searchField,
  select,
  source,
  stopSearch,
  threatMark,
  time,
} from './ui.js';

const ORDERS = [
  ['-since', 'Newest first'],
  ['expires', 'Ends soonest'],
  ['-expires', 'Ends last'],
  ['-hits', 'Most hits'],
  ['-confidence', 'Most certain'],
  ['address', 'By address'],
];
const COLUMNS = [
  { label: 'Source', class: 'col-source' },
  { label: 'Threat', class: 'col-threat' },
  { label: 'Application', class: 'col-application' },
  { label: 'Ends', class: 'col-ends' },
  { label: 'Hits', class: 'col-hits right' },
  { label: 'Actions', class: 'col-actions' },
];

let list = null;
let wanted = '';
let total = null;
let latest = null;

const chosen = ({ args }) => ({
  application: args.application ?? '',
  threat: args.threat ?? '',
  q: args.q ?? '',
  sort: args.sort ?? '-since',
});

function makeList() {
  return new VirtualTable({
    caption: 'Denylist',
    columns: COLUMNS,
    load: (offset, limit, signal) => api.denylist({ ...chosen(latest.route), offset, limit }, signal),
    row: (entry) => cells(entry, latest),
    loaded: (answer) => {
      total = answer.total;
    },
    failed: (error) => {
      latest.error = error;
    },
  });
}

export const denylist = {
  title: 'Denylist',
  every: 5000,
  async load(route) {
    latest = { ...latest, route, error: null };
    list ??= makeList();
    const now = JSON.stringify(chosen(route));
    if (now !== wanted) {
      wanted = now;
      list.reset();
    }
    await list.refresh();
    if (latest.error) throw latest.error;
    return { total };
  },
  render(data, context) {
    latest = { ...latest, ...context };
    return h(
      'div',
      { class: 'fill' },
      h(
        'div',
        { class: 'title-row' },
        h('h1', { tabindex: '-1' }, 'Denylist'),
        h(
          'p',
          { class: 'count', role: 'status' },
          `${number(total ?? 0)} ${filtered(context) ? 'found' : total === 1 ? 'entry' : 'entries'}`,
        ),
        button(
          'Deny an address',
          () =>
            actions.deny(
              context.status.applications.map(({ name }) => name),
              context.refresh,
            ),
          { class: 'push' },
        ),
      ),
      filters(context),
      total === 0 ? nothing(context) : h('div', { class: 'host', 'data-key': 'host', 'data-own': '' }),
    );
  },
  /** The table is its own: moving it with the rest would lose where it is scrolled to. */
  mount(main) {
    const host = main.querySelector('.host');
    if (host && list.box.parentNode !== host) host.replaceChildren(list.box);
    list.draw();
  },
  leave() {
    list?.close();
    list = null;
    wanted = '';
    stopSearch();
  },
};

const filtered = ({ route }) => ['application', 'threat', 'q'].some((name) => chosen(route)[name]);

function filters({ route, status, go }) {
  const { application, threat, q, sort } = chosen(route);
  const applications = status.applications.map(({ name }) => [name, visible(name)]);
  const choose = (name) => (event) => go({ [name]: event.target.value });
  return h(
    'form',
    { class: 'filters', role: 'search', 'aria-label': 'Denylist', onsubmit: (event) => event.preventDefault() },
    searchField(q, 'address, CIDR, fingerprint, incident', (text) => go({ q: text })),
    field('Application', select('application', application, [['', 'All'], ...applications], choose('application'))),
    field('Threat', select('threat', threat, [['', 'All'], ...THREATS, ['none', 'Own entries']], choose('threat'))),
    field('Order', select('sort', sort, ORDERS, choose('sort'))),
  );
}

function nothing(context) {
  if (filtered(context)) return empty('Nothing matches.', 'Try fewer filters, or part of an address.');
  if (context.status.mode === 'monitor') {
    return empty(
      'Nobody would be denied.',
      ...prose(
        'In monitor mode this lists who block mode would deny. See the overview for what each sensitivity would do.',
      ),
    );
  }
  return empty('Nobody is denied.', 'Entries appear here within milliseconds of a conviction, and go by themselves.');
}

function cells(entry, { now, refresh }) {
  const name = who(entry.key);
  return [
    h('div', { class: 'cell-source' }, source(entry.key), entry.action !== 'deny' && actionPill(entry.action)),
    threat(entry, name),
    raw(entry.application, 'clip'),
    time(entry.expires, relative(entry.expires, now)),
    compact(entry.hits),
    h(
      'div',
      { class: 'row-actions' },
      button('Extend', () => actions.extend(entry, refresh), { 'aria-label': `Extend the denial of ${name}` }),
      button('Lift', () => actions.lift(entry, refresh), { 'aria-label': `Lift the denial of ${name}` }),
    ),
  ];
}

function threat(entry, name) {
  if (!entry.threat) return h('span', { class: 'note' }, 'own entry');
  if (!entry.incident) return threatMark(entry.threat);
  const label = `${threatName(entry.threat)}: why ${name} is denied`;
  return h(
    'a',
    { href: `#/incidents/${encodeURIComponent(entry.incident)}`, 'aria-label': label },
    threatMark(entry.threat),
  );
}
