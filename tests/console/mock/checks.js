// What the calls of the mock share: pages, filters, and what is refused.

import { contains, hostBits, parse } from './address.js';
import { THREATS } from './world.js';

export class Problem extends Error {
  constructor(status, code, detail, field) {
    super(detail);
    Object.assign(this, { status, code, field });
  }
}

export const ok = (body, status = 200, headers = {}) => ({ status, body, headers });

export function checkThreat(threat, none) {
  if (threat && !THREATS.includes(threat) && !(none && threat === 'none'))
    throw new Problem(400, 'bad_query', `${threat} is no threat`, 'threat');
}

export function matches(text, { key, incident, id }) {
  const network = parse(text);
  if (network) {
    const address = parse(key.address ?? '');
    return address !== null && (contains(network, address) || contains(address, network));
  }
  const low = text.toLowerCase();
  const starts = [key.fingerprint, key.session, incident ?? id].some((value) => value?.startsWith(low));
  return starts || Boolean(key.address?.includes(low));
}

export function page(entries, { offset = '', limit = '' }, most, shown) {
  const number = (text, name, otherwise, least, bound) => {
    if (text === '') return otherwise;
    const value = Number(text);
    if (!/^\d{1,9}$/.test(text) || value < least || value > bound)
      throw new Problem(400, 'bad_query', `${name} is a number from ${least} to ${bound}`, name);
    return value;
  };
  const from = number(offset, 'offset', 0, 0, 1e9);
  const count = number(limit, 'limit', most, 1, 1000);
  return ok({
    entries: entries.slice(from, from + count).map(shown),
    total: entries.length,
    offset: from,
    limit: count,
  });
}

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** Milliseconds of a number of seconds or a time in NGINX's syntax. */
export function ttlOf(value) {
  const parts =
    typeof value === 'string'
      ? value
          .trim()
          .split(/\s+/)
          .map((part) => /^(\d+)([smhdw]?)$/.exec(part))
      : [];
  const seconds =
    typeof value === 'number'
      ? value
      : parts.length && parts.every(Boolean)
        ? parts.reduce((all, [, count, unit]) => all + Number(count) * (UNITS[unit] ?? 1), 0)
        : NaN;
  if (!(seconds >= 1 && seconds <= 365 * 86_400))
    throw new Problem(422, 'bad_ttl', 'A time is from 1 second to 365 days, as in 3600 or "1h"', 'ttl');
  return seconds * 1000;
}

export function members(body, needed, optional) {
  for (const name of Object.keys(body)) {
    if (![...needed, ...optional].includes(name))
      throw new Problem(422, 'unknown_member', `${name} is not known here`, name);
  }
  for (const name of needed) if (!(name in body)) throw new Problem(422, 'missing_member', `${name} is needed`, name);
}

export function addressIn(body, network) {
  const found = typeof body.address === 'string' ? parse(body.address) : null;
  const whole = found && (found.bits === found.width || (found.version === 6 && found.bits === 64));
  if (!found || (!network && !whole)) {
    const what = network ? 'an IPv4 or IPv6 address or CIDR' : 'an IPv4 or IPv6 address';
    throw new Problem(422, 'bad_address', `${body.address} is not ${what}`, 'address');
  }
  if (hostBits(found) !== 0n)
    throw new Problem(422, 'host_bits', `${body.address} has bits below its prefix`, 'address');
  return found;
}
