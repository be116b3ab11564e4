// A table of any length of which only the rows in sight exist. Rows come in pages, when they are
// scrolled to; two empty rows stand for what is above and below.

import { h, update } from './dom.js';

const PAGE = 200;
/** Rows beyond the edge that are kept, so that keyboard and wheel find something. */
const MARGIN = 8;
/** Pages that are remembered. */
const PAGES = 12;

export class VirtualTable {
  /**
   * `caption`; `columns`: {label, class}; `load(offset, limit, signal)` returns a promise of {entries, total};
   * `row(entry)` returns cells; `loaded({total})` is called after each page; `failed(error)` too.
   */
  constructor({ caption, columns, load, row, loaded, failed }) {
    Object.assign(this, { columns, load, row, loaded, failed });
    this.pages = new Map();
    this.total = 0;
    this.generation = 0;
    this.body = h('tbody', { role: 'rowgroup' });
    this.table = h(
      'table',
      { class: 'virtual', role: 'table', 'aria-rowcount': 1 },
      h('caption', { class: 'unseen' }, caption),
      h(
        'thead',
        { role: 'rowgroup' },
        h(
          'tr',
          { role: 'row', 'aria-rowindex': 1 },
          columns.map(({ label, class: name }) => h('th', { scope: 'col', role: 'columnheader', class: name }, label)),
        ),
      ),
      this.body,
    );
    this.box = h(
      'div',
      { class: 'table-box tall', role: 'region', 'aria-label': caption, tabindex: '0', onscroll: () => this.draw() },
      this.table,
    );
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.box);
  }

  /** Forgets everything: other rows are wanted. */
  reset() {
    this.generation += 1;
    this.abort?.abort();
    this.abort = new AbortController();
    this.pages.clear();
    this.box.scrollTop = 0;
  }

  /** Asks again for what is in sight; a promise. What is out of sight is asked for when it is scrolled to. */
  async refresh() {
    const [first, last] = this.inSight();
    const wanted = new Set();
    for (let row = first; row <= last; row += 1) wanted.add(Math.floor(row / PAGE));
    for (const page of this.pages.keys()) if (!wanted.has(page)) this.pages.delete(page);
    await Promise.all([...wanted].map((page) => this.fetch(page)));
  }

  async fetch(page) {
    const generation = this.generation;
    this.abort ??= new AbortController();
    const known = this.pages.get(page);
    if (!known) this.pages.set(page, { entries: [], waiting: true });
    try {
      const answer = await this.load(page * PAGE, PAGE, this.abort.signal);
      if (generation !== this.generation) return;
      this.pages.delete(page);
      this.pages.set(page, { entries: answer.entries });
      if (this.pages.size > PAGES) this.pages.delete(this.pages.keys().next().value);
      this.total = answer.total;
      this.loaded(answer);
      this.draw();
    } catch (error) {
      if (generation !== this.generation || this.abort.signal.aborted) return;
      if (!known) this.pages.delete(page);
      this.failed(error);
    }
  }

  /** Height of a row as the style sheet says; it differs with the width of the page. */
  height() {
    return parseFloat(getComputedStyle(this.table).getPropertyValue('--row')) || 44;
  }

  inSight() {
    const height = this.height();
    const first = Math.max(0, Math.floor(this.box.scrollTop / height) - MARGIN);
    const last = Math.min(
      Math.max(0, this.total - 1),
      Math.ceil((this.box.scrollTop + (this.box.clientHeight || 600)) / height) + MARGIN,
    );
    return [Math.min(first, last), last];
  }

  draw() {
    const height = this.height();
    const [first, last] = this.inSight();
    const rows = [];
    for (let index = first; index <= last && index < this.total; index += 1) {
      const page = Math.floor(index / PAGE);
      if (!this.pages.has(page)) this.fetch(page);
      rows.push(this.oneRow(index, this.pages.get(page)?.entries[index % PAGE]));
    }
    const gap = (count, key) =>
      count > 0 &&
      h(
        'tr',
        { class: 'gap', 'data-key': key, 'aria-hidden': 'true' },
        h('td', { colspan: this.columns.length, style: { height: `${count * height}px` } }),
      );
    this.table.setAttribute('aria-rowcount', String(this.total + 1));
    const focused = this.box.contains(document.activeElement);
    update(this.body, gap(first, 'above'), rows, gap(this.total - 1 - last, 'below'));
    // The row that had the focus is gone: lifted, or scrolled away.
    if (focused && !this.box.contains(document.activeElement)) this.box.focus({ preventScroll: true });
  }

  oneRow(index, entry) {
    const cells = entry
      ? this.row(entry).map((cell, column) =>
          h(
            column ? 'td' : 'th',
            { class: this.columns[column].class, scope: column ? null : 'row', role: column ? 'cell' : 'rowheader' },
            cell,
          ),
        )
      : h('td', { role: 'cell', colspan: this.columns.length, class: 'waiting' }, '…');
    return h('tr', { role: 'row', 'aria-rowindex': index + 2, 'data-key': entry?.id ?? `row-${index}` }, cells);
  }

  close() {
    this.observer.disconnect();
    this.abort?.abort();
  }
}
