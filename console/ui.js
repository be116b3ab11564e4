// Pieces that several views are made of.

import { h, update } from './dom.js';
import { clock, fingerprint, threatClass, threatName, visible, who } from './format.js';

/** What an application is in, and what is done there. */
export function statePill(state) {
  const label = { no_traffic: 'No traffic', learning: 'Learning', ready: 'Ready', tripped: 'Breaker open' }[state];
  return h('span', { class: `pill state-${label ? state : 'unknown'}` }, label ?? visible(state));
}

export function modePill(mode) {
  return h(
    'span',
    { class: `pill mode-${['block', 'monitor', 'off'].includes(mode) ? mode : 'mixed'}` },
    `${visible(mode)} mode`,
  );
}

export function actionPill(action) {
  const label = { deny: 'Denied', throttle: 'Throttled', monitor: 'Monitored' }[action] ?? visible(action);
  return h('span', { class: `pill action-${label === visible(action) ? 'other' : action}` }, label);
}

export function threatMark(slug) {
  return h(
    'span',
    { class: `threat ${threatClass(slug)}` },
    h('span', { class: 'swatch', 'aria-hidden': 'true' }),
    threatName(slug),
  );
}

/** Address and fingerprint, or session. */
export function source(key) {
  const print = fingerprint(key);
  return h(
    'span',
    { class: 'source' },
    h('bdi', { class: 'mono' }, who(key)),
    print &&
      h(
        'span',
        { class: 'print', title: `Fingerprint of the client: ${visible(key.fingerprint)}` },
        h('span', { class: 'unseen' }, ' fingerprint '),
        `#${print}`,
      ),
  );
}

/** Untrusted text as it is. */
export function raw(text, className = '') {
  return h('bdi', { class: `mono ${className}` }, visible(text));
}

/** Names of directives and commands. */
export function code(text) {
  return h('code', null, text);
}

/** `text` with what stands in backquotes as code. */
export function prose(text) {
  return text.split('`').map((part, index) => (index % 2 ? code(part) : part));
}

/** A message that says what to do. `kind`: info, good, warn, bad. */
export function notice(kind, title, ...text) {
  return h('div', { class: `notice ${kind}` }, h('p', null, h('strong', null, title), ' ', ...text));
}

/** What stands where nothing is. */
export function empty(title, ...text) {
  return h('div', { class: 'empty' }, h('p', { class: 'empty-title' }, title), h('p', null, ...text));
}

/** How long after the last key a search begins, milliseconds. */
const PAUSE = 250;
let typing = 0;

/** What is searched for: `search` is called with it once nobody types any more. */
export function searchField(value, placeholder, search) {
  return field(
    'Search',
    h('input', {
      type: 'search',
      name: 'q',
      value,
      autocomplete: 'off',
      spellcheck: 'false',
      maxlength: '64',
      placeholder,
      oninput: ({ target }) => {
        stopSearch();
        typing = setTimeout(() => search(target.value.trim()), PAUSE);
      },
    }),
  );
}

/** Forgets a search that has not begun. */
export function stopSearch() {
  clearTimeout(typing);
}

export function time(value, text) {
  if (!value) return '–';
  return h('time', { datetime: value, title: `${value} (${clock(value)} here)` }, text);
}

export function button(label, onclick, props = {}) {
  return h('button', { type: 'button', onclick, ...props }, label);
}

export function meter(share, className = '', label = null) {
  const width = `${Math.max(0, Math.min(1, Number.isFinite(share) ? share : 0)) * 100}%`;
  const naming = label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': 'true' };
  return h('span', { class: `meter ${className}`, ...naming }, h('span', { style: { width } }));
}

/**
 * A table that scrolls sideways by itself. `columns`: {label, class, hidden}; `rows`: cells, the first of them a
 * row header, and a `key`. Roles are spelt out because narrow screens lay some tables out as something else.
 */
export function table(caption, columns, rows, className = '') {
  const head = columns.map(({ label, class: name, hidden }) =>
    h(
      'th',
      { scope: 'col', role: 'columnheader', class: name },
      hidden ? h('span', { class: 'unseen' }, label) : label,
    ),
  );
  const cell = (content, index) =>
    index === 0
      ? h('th', { scope: 'row', role: 'rowheader', class: columns[0].class }, content)
      : h('td', { role: 'cell', class: columns[index].class }, content);
  return h(
    'div',
    { class: `table-box ${className}`, role: 'region', 'aria-label': caption, tabindex: '0' },
    h(
      'table',
      { role: 'table' },
      h('caption', { class: 'unseen' }, caption),
      h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, head)),
      h(
        'tbody',
        { role: 'rowgroup' },
        rows.map(({ key, cells }) => h('tr', { role: 'row', 'data-key': key }, cells.map(cell))),
      ),
    ),
  );
}

let toastNumber = 0;

/** Says something once, aloud too. */
export function toast(text, kind = 'good') {
  const element = h('p', { class: `toast ${kind}`, 'data-key': String(++toastNumber) }, text);
  document.getElementById('toasts').append(element);
  setTimeout(() => element.remove(), kind === 'bad' ? 12_000 : 6_000);
}

/**
 * Asks in a modal dialog. `fields` and `text` are nodes; `act` is called with the form's values and
 * returns a promise: the dialog closes when it holds and says why when it does not. Focus goes back where it was.
 */
export function ask({ title, text, fields = [], label, danger = false, act }) {
  const dialog = document.getElementById('dialog');
  const before = document.activeElement;
  const trouble = h('p', { class: 'trouble', role: 'alert' });
  const confirm = h('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, label);
  const submit = async (event) => {
    event.preventDefault();
    confirm.disabled = true;
    trouble.textContent = '';
    try {
      await act(Object.fromEntries(new FormData(event.target)));
      dialog.close();
    } catch (error) {
      trouble.textContent = visible(error.message);
      confirm.disabled = false;
    }
  };
  dialog.replaceChildren(
    h(
      'form',
      { onsubmit: submit },
      h('h2', { id: 'dialog-title' }, title),
      h('div', { class: 'dialog-text' }, text),
      fields,
      trouble,
      h(
        'div',
        { class: 'dialog-buttons' },
        button('Cancel', () => dialog.close()),
        confirm,
      ),
    ),
  );
  dialog.onclose = () => {
    update(dialog);
    const target = before?.isConnected ? before : document.querySelector('h1');
    target?.focus();
  };
  dialog.showModal();
  (dialog.querySelector('input, select') ?? confirm).focus();
}

export function field(label, control, hint = null) {
  return h(
    'label',
    { class: 'field' },
    h('span', { class: 'field-label' }, label),
    control,
    hint && h('span', { class: 'hint' }, hint),
  );
}

/** A choice; `options`: pairs of value and label. */
export function select(name, value, options, onchange = null) {
  return h(
    'select',
    { name, onchange, value: null },
    options.map(([key, label]) => h('option', { value: key, selected: key === value }, label)),
  );
}
