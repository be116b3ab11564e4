// Charts as SVG made by hand. Marks are stretched to the place that there is; words around them are HTML,
// so they are never stretched. Each chart has its numbers as a table too.

import { h } from './dom.js';
import { compact, hour, number } from './format.js';

const HOUR_MS = 3_600_000;

/** Which bucket of which chart the pointer or the keyboard is on; stays when data is updated. */
const marked = new Map();

/** A round number not below `value`, whose half is one too. */
function ceiling(value) {
  if (value <= 10) return [4, 6, 8, 10].find((step) => step >= value);
  const magnitude = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * magnitude).find((step) => step >= value);
}

/**
 * Stacked bars over time.
 *
 * `id`: unique in the view. `title`: what is counted. `buckets`: {label, axis, values: {key: count}}
 * in order of time; `axis` is the label below, empty for most. `series`: {key, label, class}, from the bottom
 * up. `sum`: what the readout says while nothing is marked.
 */
export function bars({ id, title, buckets, series, sum, legend = true }) {
  const totals = buckets.map(({ values }) => series.reduce((all, { key }) => all + (values[key] ?? 0), 0));
  const top = ceiling(Math.max(0, ...totals));
  const used = series.filter(({ key }) => buckets.some(({ values }) => values[key] > 0));
  const readout = h('p', { class: 'readout', 'aria-live': 'polite' }, said(marked.get(id)));
  function said(index) {
    const bucket = buckets[index];
    if (!bucket) return sum;
    const parts = used
      .filter(({ key }) => bucket.values[key] > 0)
      .map(({ key, label }) => `${label} ${number(bucket.values[key])}`);
    return `${bucket.label}: ${parts.join(', ') || 'none'}`;
  }
  const mark = (event, index) => {
    const figure = event.currentTarget.closest('figure');
    marked.set(id, index);
    figure.querySelector('.readout').textContent = said(index);
    const cursor = figure.querySelector('.cursor');
    cursor.setAttribute('x', index ?? -1);
  };
  const plot = h(
    'svg',
    {
      class: 'plot',
      viewBox: `0 0 ${buckets.length} 100`,
      preserveAspectRatio: 'none',
      tabindex: '0',
      role: 'img',
      'aria-label': `${title}. ${sum}. Arrow keys read each value.`,
      onpointermove: (event) => {
        const box = event.currentTarget.getBoundingClientRect();
        const at = Math.floor(((event.clientX - box.left) / box.width) * buckets.length);
        mark(event, Math.max(0, Math.min(buckets.length - 1, at)));
      },
      onpointerleave: (event) => mark(event, undefined),
      onblur: (event) => mark(event, undefined),
      onkeydown: (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
        if (step === undefined) return;
        event.preventDefault();
        const from = marked.get(id) ?? (step < 0 ? buckets.length : -1);
        mark(event, Math.max(0, Math.min(buckets.length - 1, from + step)));
      },
    },
    h('rect', { class: 'cursor', x: marked.get(id) ?? -1, y: 0, width: 1, height: 100 }),
    [25, 50, 75].map((y) => h('line', { class: 'grid', x1: 0, x2: buckets.length, y1: y, y2: y })),
    buckets.map((bucket, index) => stack(bucket, index, used, top)),
  );
  return h(
    'figure',
    { class: 'chart' },
    h('figcaption', null, h('span', { class: 'chart-title' }, title), readout),
    h(
      'div',
      { class: 'chart-area' },
      h(
        'span',
        { class: 'scale', 'aria-hidden': 'true' },
        h('span', null, compact(top)),
        h('span', null, compact(top / 2)),
        h('span', null, '0'),
      ),
      plot,
      h(
        'div',
        { class: 'axis', 'aria-hidden': 'true' },
        buckets.map(
          ({ axis }, index) =>
            axis && h('span', { style: { left: `${((index + 0.5) / buckets.length) * 100}%` } }, axis),
        ),
      ),
    ),
    legend &&
      h(
        'ul',
        { class: 'legend' },
        series.map(({ key, label, class: name }) => {
          const total = buckets.reduce((all, { values }) => all + (values[key] ?? 0), 0);
          return (
            total > 0 &&
            h(
              'li',
              { 'data-key': key },
              h('span', { class: `swatch ${name}`, 'aria-hidden': 'true' }),
              `${label} `,
              h('b', null, compact(total)),
            )
          );
        }),
      ),
    numbers(title, buckets, used),
  );
}

function stack(bucket, index, series, top) {
  let y = 100;
  return h(
    'g',
    null,
    series.map(({ key, class: name }) => {
      const value = bucket.values[key] ?? 0;
      const height = value > 0 ? Math.max(1.2, (value / top) * 100) : 0;
      y -= height;
      return height > 0 && h('rect', { class: name, x: index + 0.1, y, width: 0.8, height });
    }),
  );
}

/** The same as a table, for those who do not see the bars, and for copying. */
function numbers(title, buckets, series) {
  if (!series.length) return null;
  return h(
    'details',
    { class: 'numbers' },
    h('summary', null, 'Numbers'),
    h(
      'div',
      { class: 'table-box', role: 'region', 'aria-label': `${title}, numbers`, tabindex: '0' },
      h(
        'table',
        null,
        h('caption', { class: 'unseen' }, title),
        h(
          'thead',
          null,
          h(
            'tr',
            null,
            h('th', { scope: 'col' }, 'Time'),
            series.map(({ label }) => h('th', { scope: 'col', class: 'right' }, label)),
          ),
        ),
        h(
          'tbody',
          null,
          buckets.map(({ label, values }) =>
            h(
              'tr',
              null,
              h('th', { scope: 'row' }, label),
              series.map(({ key }) => h('td', { class: 'right' }, number(values[key] ?? 0))),
            ),
          ),
        ),
      ),
    ),
  );
}

/** Rows of the history as 24 buckets of an hour, the current one last. */
export function lastDay(rows, now) {
  const current = Math.floor(now / HOUR_MS) * HOUR_MS;
  const byHour = new Map(rows.map((row) => [new Date(row.hour).getTime(), row]));
  return Array.from({ length: 24 }, (_, index) => {
    const start = current - (23 - index) * HOUR_MS;
    return {
      label: `${hour(start)} to ${index === 23 ? 'now' : hour(start + HOUR_MS)}`,
      axis: index % 6 === 5 || index === 0 ? hour(start) : '',
      row: byHour.get(start) ?? { requests: 0, denied: 0, throttled: 0, threats: {} },
    };
  });
}

/** A small line without axes; the newest value is on the right. */
export function spark(values, label) {
  const top = Math.max(1, ...values);
  const points = values.map((value, index) => `${index} ${(19 - (value / top) * 18).toFixed(2)}`);
  return h(
    'svg',
    {
      class: 'spark',
      viewBox: `0 0 ${Math.max(1, values.length - 1)} 20`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': label,
    },
    points.length > 1 && h('path', { d: `M${points.join('L')}` }),
  );
}

/**
 * Value against normal, on a scale of logarithms: a full bar is a thousand times normal.
 */
export function multiple(value, normal) {
  const times = normal > 0 ? Math.max(1, value / normal) : 1;
  const share = Math.min(1, (1 + Math.log10(times)) / 4);
  return h(
    'span',
    { class: 'multiple', 'aria-hidden': 'true' },
    h('span', { class: 'multiple-value', style: { width: `${share * 100}%` } }),
    h('span', { class: 'multiple-normal' }),
  );
}
