// How the parts are doing, and what to do when one is not well.

import { h } from './dom.js';
import { duration, number, percent, plural, relative, visible } from './format.js';
import { empty, meter, notice, prose, raw, statePill, table, time } from './ui.js';

const TABLES = {
  denylist: 'Denials',
  sources: 'Sources remembered',
  incidents: 'Incidents kept',
  applications: 'Applications',
  allowlist: 'Allowlist',
};
/** From here on a table that loses what matters is called full. */
const FULL = 0.75;

export const health = {
  title: 'Health',
  render(_, { status, now }) {
    const { health: parts, applications } = status;
    return h(
      'div',
      null,
      h('h1', { tabindex: '-1' }, 'Health'),
      parts
        ? [
            h('div', { class: 'messages' }, troubles(parts)),
            h('div', { class: 'tops' }, detector(parts, now), ring(parts), process(status, now)),
            h(
              'section',
              { class: 'card', 'aria-labelledby': 'tables' },
              h('h2', { id: 'tables' }, 'Tables in shared memory'),
              tables(parts),
            ),
          ]
        : null,
      h(
        'section',
        { class: 'card', 'aria-labelledby': 'learning' },
        h('h2', { id: 'learning' }, 'Learning'),
        learning(applications, now),
      ),
    );
  },
};

function troubles({
  detector: { panics, lag_seconds: lag },
  ring: { records_dropped: dropped },
  tables: all,
  state_file: file,
  callback_panics: caught,
  log_lines_dropped: lines,
}) {
  const out = [];
  if (lag > 1)
    out.push(
      notice(
        'warn',
        `Detection is ${duration(lag)} behind.`,
        'Denials come that much later. Is there a processor left for it?',
      ),
    );
  if (dropped > 0)
    out.push(
      notice(
        'warn',
        `${plural(dropped, 'request')} never reached detection.`,
        ...prose('They were served and not judged. A larger `api_abuse_zone` makes the ring longer.'),
      ),
    );
  for (const { name, lost } of all) {
    if (lost > 0 && name !== 'incidents')
      out.push(
        notice(
          'warn',
          `${TABLES[name] ?? visible(name)}: ${number(lost)} lost.`,
          ...prose('The table had no room for them. Make `api_abuse_zone` larger.'),
        ),
      );
  }
  if (file?.errors > 0)
    out.push(
      notice(
        'bad',
        `The state could not be saved ${number(file.errors)} ${file.errors === 1 ? 'time' : 'times'}.`,
        'The error log says why. Until it is saved again, a restart goes back to the last one.',
      ),
    );
  if (panics + caught > 0)
    out.push(
      notice(
        'bad',
        `${plural(panics + caught, 'internal error')} caught.`,
        'Requests went on. The error log has the place; please report it.',
      ),
    );
  if (lines > 0)
    out.push(
      notice(
        'info',
        `${plural(lines, 'log line')} left out.`,
        'The log could not be written as fast as decisions came.',
      ),
    );
  return out.length ? out : notice('good', 'All is well.', 'Nothing was lost, and detection keeps up.');
}

function facts(title, rows) {
  const id = title.toLowerCase().replaceAll(' ', '-');
  return h(
    'section',
    { class: 'card', 'aria-labelledby': id },
    h('h2', { id }, title),
    h(
      'dl',
      { class: 'plain' },
      rows.map(([label, value]) => h('div', null, h('dt', null, label), h('dd', null, value))),
    ),
  );
}

function detector({ detector: it, enforcement }, now) {
  return facts('Detector', [
    ['State', h('span', { class: `pill ${it.up ? 'state-ready' : 'state-tripped'}` }, it.up ? 'At work' : 'Down')],
    ['Behind by', duration(it.lag_seconds)],
    ['Last turn', time(it.last_turn, relative(it.last_turn, now))],
    ['Process', `${it.process ?? '–'} (${visible(it.runs_in)})`],
    ['Takeovers', number(it.takeovers)],
    [
      'Enforced within',
      enforcement.count
        ? `${duration(enforcement.p50_seconds)}, 99 % ${duration(enforcement.p99_seconds)}`
        : 'nothing to enforce yet',
    ],
  ]);
}

function ring({ ring: it }) {
  const waiting = Math.max(0, it.records_pushed - it.records_judged);
  return facts('Ring', [
    ['Lanes claimed', [number(it.claimed), ` of ${number(it.lanes)}`]],
    ['Requests recorded', number(it.records_pushed)],
    ['Waiting', number(waiting)],
    ['Dropped', number(it.records_dropped)],
    ['Unreadable', number(it.records_invalid + it.garbage)],
  ]);
}

function process({ version, nginx, started, health: { zone, state_file: file } }, now) {
  return facts('Installation', [
    ['Module', visible(version)],
    ['NGINX', visible(nginx)],
    ['Zone', [raw(zone.name), ` ${number(zone.bytes / 1048576)} MiB`]],
    ['Since', time(started, relative(started, now))],
    ['State saved', !file ? 'off' : file.saved ? time(file.saved, relative(file.saved, now)) : 'not yet'],
    ['State file', file ? raw(file.path, 'wrap') : prose('`api_abuse_state off`')],
  ]);
}

function tables({ tables: all }) {
  return table(
    'How full each table is',
    [
      { label: 'Table' },
      { label: 'Filled', class: 'col-wide' },
      { label: 'Used', class: 'right' },
      { label: 'Room', class: 'right' },
      { label: 'Lost', class: 'right' },
    ],
    all.map(({ name, used, size, lost }) => {
      const share = size ? used / size : 0;
      return {
        key: name,
        cells: [
          TABLES[name] ?? visible(name),
          h(
            'span',
            { class: 'counted' },
            meter(share, share > FULL && name !== 'incidents' ? 'warm' : ''),
            percent(share),
          ),
          number(used),
          number(size),
          h('b', { class: lost > 0 ? 'warm' : null }, number(lost)),
        ],
      };
    }),
  );
}

function learning(applications, now) {
  if (!applications.length)
    return empty('No application yet.', ...prose('Write `api_abuse NAME;` where requests arrive.'));
  return table(
    'Learning of each application',
    [
      { label: 'Application' },
      { label: 'State' },
      { label: 'Learned', class: 'col-wide' },
      { label: 'Left' },
      { label: 'Last request' },
    ],
    applications.map(({ name, state, learning: { duration_seconds: all, remaining_seconds: left }, last }) => ({
      key: name,
      cells: [
        raw(name),
        statePill(state),
        meter(all ? 1 - left / all : 1, 'strong', `${percent(all ? 1 - left / all : 1)} learned`),
        left > 0 ? duration(left) : 'done',
        last ? time(last, relative(last, now)) : 'none yet',
      ],
    })),
  );
}
