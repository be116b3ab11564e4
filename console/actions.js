// What an operator does about a source, asked for in the same dialogs wherever it is offered.

import * as api from './api.js';
import { h } from './dom.js';
import { duration, visible, who } from './format.js';
import { ask, field, prose, select, toast } from './ui.js';

const TIMES = [
  ['1h', '1 hour'],
  ['6h', '6 hours'],
  ['1d', '1 day'],
  ['7d', '7 days'],
  ['30d', '30 days'],
];

const times = () => field('From now', select('ttl', '1d', TIMES));

/** Lifts a denial. `entry`: {id, key, ttl_seconds}. */
export function lift(entry, done) {
  ask({
    title: `Lift the denial of ${who(entry.key)}?`,
    text: h(
      'p',
      null,
      'It is served again at once, and not denied again for half of the former time',
      entry.ttl_seconds ? ` (${duration(entry.ttl_seconds / 2)})` : '',
      ' unless it does something new.',
    ),
    label: 'Lift',
    danger: true,
    act: async () => {
      await api.lift(entry.id);
      toast(`${who(entry.key)} is served again.`);
      done();
    },
  });
}

export function extend(entry, done) {
  ask({
    title: `Change the end of the denial of ${who(entry.key)}`,
    text: h('p', null, 'It then ends that long from now, whether that is sooner or later than before.'),
    fields: times(),
    label: 'Change',
    act: async ({ ttl }) => {
      await api.extend(entry.id, ttl);
      toast(`${who(entry.key)} is denied for ${new Map(TIMES).get(ttl)} from now.`);
      done();
    },
  });
}

/** An operator's own entry. */
export function deny(applications, done) {
  ask({
    title: 'Deny an address',
    text: h('p', null, ...prose('It holds in `block` mode. For networks use `deny` in the configuration.')),
    fields: [
      field(
        'Address',
        h('input', {
          name: 'address',
          required: true,
          autocomplete: 'off',
          spellcheck: 'false',
          placeholder: '192.0.2.1 or 2001:db8::1',
        }),
        'IPv6 stands for its /64',
      ),
      field(
        'Application',
        select(
          'application',
          applications[0],
          applications.map((name) => [name, visible(name)]),
        ),
      ),
      times(),
    ],
    label: 'Deny',
    danger: true,
    act: async ({ application, address, ttl }) => {
      await api.deny(application, address.trim(), ttl);
      toast(`${visible(address.trim())} is denied.`);
      done();
    },
  });
}

export function allow(address, comment, done) {
  ask({
    title: 'Never deny this address',
    text: h(
      'p',
      null,
      'It is neither judged nor denied, in any application, and what denies it now is lifted. Everybody behind the address is let through.',
    ),
    fields: [
      field(
        'Address or network',
        h('input', {
          name: 'address',
          required: true,
          value: address,
          autocomplete: 'off',
          spellcheck: 'false',
          placeholder: '192.0.2.0/24',
        }),
      ),
      field(
        'Comment',
        h('input', {
          name: 'comment',
          value: comment,
          maxlength: '128',
          autocomplete: 'off',
          placeholder: 'who, why, who asked',
        }),
      ),
    ],
    label: 'Allow',
    act: async (values) => {
      await api.allow(values.address.trim(), values.comment.trim());
      toast(`${visible(values.address.trim())} is never denied from now on.`);
      done();
    },
  });
}

export function disallow(entry, done) {
  ask({
    title: `Remove ${visible(entry.address)} from the allowlist?`,
    text: h('p', null, 'From now on it is judged as everybody else.'),
    label: 'Remove',
    danger: true,
    act: async () => {
      await api.disallow(entry.id);
      toast(`${visible(entry.address)} is judged again.`);
      done();
    },
  });
}
