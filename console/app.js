// The frame around the views: which one is shown, live updates, theme, what the server says of itself.

import * as api from './api.js';
import { h, update } from './dom.js';
import { clock, number, visible } from './format.js';
import { button, empty, modePill, notice, prose } from './ui.js';
import { overview } from './overview.js';
import { denylist } from './denylist.js';
import { allowlist } from './allowlist.js';
import { incidents } from './incidents.js';
import { incident } from './incident.js';
import { history } from './history.js';
import { health } from './health.js';

/** How often the state is asked for; views say how often they are. Milliseconds. */
const TICK_MS = 2000;
const SLOWEST_MS = 30_000;

const VIEWS = { '': overview, denylist, allowlist, incidents, history, health };
const element = (name) => document.getElementById(name);
const main = element('main');

const state = {
  route: null,
  view: null,
  data: null,
  status: null,
  error: null,
  lost: null,
  loadedAt: 0,
  offset: 0,
  paused: false,
  failures: 0,
  focus: false,
  timer: 0,
  round: 0,
  abort: null,
};

/** `#/incidents/0000014b?application=shop` as {name, id, args}. */
function parse(hash) {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?');
  const [name, id = ''] = path.split('/').map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return { name, id, args: Object.fromEntries(new URLSearchParams(query)) };
}

function viewOf({ name, id }) {
  if (name === 'incidents' && id) return incident;
  return Object.hasOwn(VIEWS, name) ? VIEWS[name] : null;
}

function address({ name, id }, args) {
  return `#/${name}${id ? `/${encodeURIComponent(id)}` : ''}${api.query(args)}`;
}

/** What views get besides their data. */
function context() {
  return {
    route: state.route,
    status: state.status,
    now: Date.now() + state.offset,
    refresh: () => tick(true),
    /** Other arguments for the same view, without a step in the browser's history. */
    go(args) {
      state.route.args = { ...state.route.args, ...args };
      window.history.replaceState(null, '', address(state.route, state.route.args));
      tick(true);
    },
  };
}

function navigate() {
  if (location.hash && !location.hash.startsWith('#/')) return;
  state.view?.leave?.();
  state.route = parse(location.hash);
  state.view = viewOf(state.route);
  state.data = null;
  state.error = null;
  // The first view leaves the focus to the browser; later ones are announced by their heading.
  state.focus = state.round > 0;
  document.title = `${state.view?.title ?? 'Not found'} – API abuse`;
  update(
    element('views'),
    Object.entries(VIEWS).map(([name, view]) =>
      h(
        'a',
        { href: `#/${name}`, 'aria-current': name === state.route.name ? 'page' : null, 'data-key': name },
        view.title,
      ),
    ),
  );
  reveal(element('views').querySelector('[aria-current]'));
  scrollTo(0, 0);
  render();
  tick(true);
}

/**
 * Brings a link into the visible part of the strip of views. Not by scrollIntoView(), after which some versions of
 * Chromium (150 is one) let Tab go on from that link, past the one that skips to the content.
 */
function reveal(link) {
  if (!link) return;
  const strip = element('views');
  const [inner, outer] = [link.getBoundingClientRect(), strip.getBoundingClientRect()];
  strip.scrollLeft += Math.min(0, inner.left - outer.left) + Math.max(0, inner.right - outer.right);
}

/** Asks for the state and, when it is due, for what the view shows. */
async function tick(now = false) {
  clearTimeout(state.timer);
  if (now) state.abort?.abort();
  const round = ++state.round;
  const { view, route } = state;
  const abort = new AbortController();
  state.abort = abort;
  const due = now || Date.now() - state.loadedAt >= (view?.every ?? Infinity);
  try {
    const [status, data] = await Promise.all([
      api.status(abort.signal),
      due && view?.load ? view.load(route, abort.signal) : state.data,
    ]);
    if (round !== state.round) return;
    if (due) state.loadedAt = Date.now();
    Object.assign(state, { status, data, error: null, lost: null, failures: 0 });
    state.offset = new Date(status.time).getTime() - Date.now();
  } catch (error) {
    if (round !== state.round) return;
    state.failures += 1;
    state.error = error;
    state.lost ??= Date.now();
  }
  render();
  schedule();
}

function schedule() {
  clearTimeout(state.timer);
  if (state.paused || document.hidden) return;
  state.timer = setTimeout(tick, Math.min(SLOWEST_MS, TICK_MS * 2 ** state.failures));
}

function render() {
  const { status, data, error, view } = state;
  frame();
  if (!view) {
    update(main, heading('Not found'), empty('There is no such view.', h('a', { href: '#/' }, 'Overview')));
  } else if (status && (data || !view.load)) {
    const focused = main.contains(document.activeElement);
    update(main, banner(), view.render(data, context()));
    view.mount?.(main);
    // What had the focus is gone.
    state.focus ||= focused && document.activeElement === document.body;
  } else if (error) {
    update(main, heading(view.title), trouble(error));
  } else {
    update(main, heading(view.title), h('div', { class: 'loading', 'aria-busy': 'true' }, h('p', null, 'Loading…')));
    return;
  }
  if (state.focus) {
    state.focus = false;
    main.querySelector('h1')?.focus({ preventScroll: true });
  }
}

function heading(text) {
  return h('h1', { tabindex: '-1' }, text);
}

function trouble(error) {
  const gone = error.code === 'unknown_id';
  return h(
    'div',
    { class: 'empty', role: 'alert' },
    h('p', { class: 'empty-title' }, gone ? 'This is not kept any more.' : 'This could not be loaded.'),
    h('p', null, gone ? 'Newer incidents have taken its place; the history still counts it.' : visible(error.message)),
    h(
      'p',
      null,
      button('Try again', () => tick(true)),
    ),
  );
}

/** What is wrong with everything, above every view. */
function banner() {
  const { status } = state;
  if (!status.health) {
    return notice('bad', 'There is no shared memory.', ...prose('Add `api_abuse_zone abuse:32m;` to http and reload.'));
  }
  if (!status.health.detector.up) {
    return notice(
      'bad',
      'No detector is at work.',
      'Denials that exist hold until they expire, new ones are not made. The error log says why.',
    );
  }
  return null;
}

function frame() {
  const { status, error, paused } = state;
  const denied = status?.applications.reduce((all, { denied_sources: count }) => all + count, 0);
  update(
    element('facts'),
    status && [
      modePill(status.mode),
      h('span', null, h('b', null, number(denied)), ' denied now'),
      h('span', { class: 'wide' }, `version ${visible(status.version)}`),
    ],
  );
  const live = element('live');
  const text = error ? 'No answer' : paused ? 'Paused' : status ? 'Live' : 'Connecting';
  live.setAttribute('aria-pressed', String(!paused));
  live.dataset.state = text.toLowerCase();
  live.title = paused ? 'Go on updating' : 'Stop updating';
  if (element('live-text').textContent !== text) element('live-text').textContent = text;
  const stale =
    error && state.data ? `${visible(error.message)} What you see is of ${clock(state.lost)}; asking again.` : '';
  if (element('stale').textContent !== stale) element('stale').textContent = stale;
}

const THEMES = ['auto', 'light', 'dark'];

function theme() {
  const root = document.documentElement;
  const label = () => {
    element('theme').textContent = `Theme: ${root.dataset.theme ?? 'auto'}`;
  };
  element('theme').onclick = () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? 'auto') + 1) % THEMES.length];
    if (next === 'auto') delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem('api-abuse-theme', next);
    } catch {
      // Not kept, then.
    }
    label();
  };
  label();
}

element('skip').onclick = (event) => {
  event.preventDefault();
  main.focus();
};
element('live').onclick = () => {
  state.paused = !state.paused;
  if (state.paused) clearTimeout(state.timer);
  else tick(true);
  frame();
};
document.addEventListener('visibilitychange', () =>
  document.hidden ? clearTimeout(state.timer) : !state.paused && tick(true),
);
addEventListener('hashchange', navigate);
theme();
navigate();
