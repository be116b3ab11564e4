// Up to 30 days: what was denied, who did most of it, where, and which detectors saw it.

import * as api from './api.js';
import { bars } from './charts.js';
import { h } from './dom.js';
import { THREATS, compact, day, hour, moment, number, plural, threatClass, visible, words } from './format.js';
import { empty, field, meter, raw, select, table, threatMark, time } from './ui.js';

const HOUR_MS = 3_600_000;
const SPANS = [
  ['30', '30 days'],
  ['7', '7 days'],
  ['1', '24 hours'],
];
/** Hours of a bar. */
const STEP = { 30: 24, 7: 6, 1: 1 };

const days = (args) => (Object.hasOwn(STEP, args.days) ? args.days : '30');

export const history = {
  title: 'History',
  every: 60_000,
  load: ({ args }, signal) => api.history({ days: days(args), application: args.application }, signal),
  render(data, { route, status, go, now }) {
    const span = days(route.args);
    const label = new Map(SPANS).get(span);
    const buckets = grouped(data.hours, Number(span), STEP[span], now);
    const choose = (name) => (event) => go({ [name]: event.target.value });
    return h(
      'div',
      null,
      h('h1', { tabindex: '-1' }, 'History'),
      h(
        'form',
        { class: 'filters', 'aria-label': 'What is shown', onsubmit: (event) => event.preventDefault() },
        field('Time', select('days', span, SPANS, choose('days'))),
        field(
          'Application',
          select(
            'application',
            route.args.application ?? '',
            [['', 'All'], ...status.applications.map(({ name }) => [name, visible(name)])],
            choose('application'),
          ),
        ),
      ),
      data.hours.length === 0
        ? empty('Nothing has happened yet.', 'Counts appear here with the first request, and are kept for 30 days.')
        : [charts(buckets, label), tops(data.top, now)],
    );
  },
};

/** Rows of hours as bars of `step` hours, which begin as the clock's do here; the last one holds the current hour. */
function grouped(rows, span, step, now) {
  const begin = new Date(now);
  begin.setHours(Math.floor(begin.getHours() / step) * step, 0, 0, 0);
  const end = begin.getTime() + step * HOUR_MS;
  const count = (span * 24) / step;
  const buckets = Array.from({ length: count }, (_, index) => {
    const start = end - (count - index) * step * HOUR_MS;
    const marks = Math.max(1, Math.floor(count / 6));
    const text =
      step === 24
        ? day(start + HOUR_MS * 12)
        : step === 1
          ? `${hour(start)} to ${hour(start + HOUR_MS)}`
          : `${day(start)}, ${hour(start)} to ${hour(start + step * HOUR_MS)}`;
    return {
      label: text,
      axis: (count - 1 - index) % marks === 0 ? (step === 1 ? hour(start) : day(start + (step * HOUR_MS) / 2)) : '',
      requests: 0,
      denied: 0,
      threats: {},
    };
  });
  for (const row of rows) {
    const bucket = buckets[count - 1 - Math.floor((end - 1 - new Date(row.hour).getTime()) / HOUR_MS / step)];
    if (!bucket) continue;
    bucket.requests += row.requests;
    bucket.denied += row.denied + row.throttled;
    for (const [slug, value] of Object.entries(row.threats)) bucket.threats[slug] = (bucket.threats[slug] ?? 0) + value;
  }
  return buckets;
}

function charts(buckets, span) {
  const sum = (of) => buckets.reduce((all, bucket) => all + of(bucket), 0);
  const convictions = sum(({ threats }) => Object.values(threats).reduce((a, b) => a + b, 0));
  return h(
    'div',
    { class: 'chart-stack' },
    h(
      'section',
      { class: 'card', 'aria-label': 'Convictions' },
      bars({
        id: 'history-threats',
        title: `Convictions by threat, ${span}`,
        buckets: buckets.map(({ label, axis, threats }) => ({ label, axis, values: threats })),
        series: THREATS.map(([key, label]) => ({ key, label, class: threatClass(key) })),
        sum: plural(convictions, 'conviction'),
      }),
    ),
    h(
      'section',
      { class: 'card', 'aria-label': 'Requests' },
      bars({
        id: 'history-traffic',
        title: `Requests, ${span}`,
        buckets: buckets.map(({ label, axis, requests, denied }) => ({
          label,
          axis,
          values: { denied, served: Math.max(0, requests - denied) },
        })),
        series: [
          { key: 'denied', label: 'denied', class: 'bar-denied' },
          { key: 'served', label: 'served', class: 'bar-served' },
        ],
        sum: `${compact(sum(({ requests }) => requests))} requests, ${compact(sum(({ denied }) => denied))} denied`,
      }),
    ),
  );
}

function tops({ sources, endpoints, detectors }, now) {
  return h(
    'div',
    { class: 'tops ranks' },
    top('Sources', sources, [
      { label: 'Address', cell: (row) => raw(row.address) },
      { label: 'Threat', cell: (row) => threatMark(row.threat) },
      { label: 'Last', cell: (row) => time(row.last, moment(row.last, now)) },
    ]),
    top('Targets', endpoints, [
      { label: 'Endpoint', cell: (row) => raw(row.endpoint, 'wrap') },
      { label: 'Application', cell: (row) => raw(row.application) },
    ]),
    top('Detectors', detectors, [
      { label: 'Detector', cell: (row) => words(row.measure) },
      { label: 'Threat', cell: (row) => threatMark(row.threat) },
    ]),
  );
}

function top(title, rows, columns) {
  const most = Math.max(1, ...rows.map(({ convictions }) => convictions));
  return h(
    'section',
    { class: 'card', 'aria-labelledby': `top-${title}` },
    h('h2', { id: `top-${title}` }, title),
    rows.length === 0
      ? empty('None.', 'Nobody was convicted in this time.')
      : table(
          `${title} with most convictions`,
          [
            ...columns.map(({ label }, index) => ({ label, class: index === 0 ? 'col-wide' : '' })),
            { label: 'Convictions', class: 'right' },
          ],
          rows.map((row, index) => ({
            key: String(index),
            cells: [
              ...columns.map(({ cell }) => cell(row)),
              h('span', { class: 'counted' }, meter(row.convictions / most), h('b', null, number(row.convictions))),
            ],
          })),
        ),
  );
}
