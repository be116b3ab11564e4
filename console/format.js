// How numbers, times and names are written.

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const SMALL = new Intl.NumberFormat('en-US', { maximumFractionDigits: 2 });
const COMPACT = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 });
const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const HOUR = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
const BOTH = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });

/** The eight threats; the index is the number of the colour. */
export const THREATS = [
  ['resource_exhaustion', 'Resource exhaustion'],
  ['credential_stuffing', 'Credential stuffing'],
  ['account_creation', 'Account creation'],
  ['spamming', 'Spamming'],
  ['scalping', 'Scalping'],
  ['vulnerability_scanning', 'Vulnerability scanning'],
  ['scraping', 'Scraping'],
  ['bola', 'Object walking (BOLA)'],
];
const NAMES = new Map(THREATS);

export function threatName(slug) {
  if (slug === null || slug === undefined) return 'Own entry';
  return NAMES.get(slug) ?? words(slug);
}

export function threatClass(slug) {
  const index = THREATS.findIndex(([known]) => known === slug);
  return index < 0 ? 'threat-other' : `threat-${index}`;
}

/** A name of ours in words: `rare_paths_missed` is "Rare paths missed". */
export function words(name) {
  const text = visible(name).replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * Text from a client, with what cannot be seen, or turns the direction of what follows, spelt out.
 * It still has to be put into text nodes.
 */
export function visible(text) {
  return String(text ?? '').replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu,
    (character) => `\\u{${character.codePointAt(0).toString(16)}}`,
  );
}

export function number(value) {
  if (!Number.isFinite(value)) return '–';
  return Math.abs(value) < 10 && !Number.isInteger(value) ? SMALL.format(value) : WHOLE.format(value);
}

/** Two digits behind the point, for nats. */
export function nats(value) {
  return Number.isFinite(value) ? value.toFixed(1) : '–';
}

export function compact(value) {
  return Number.isFinite(value) ? (value < 10_000 ? number(value) : COMPACT.format(value)) : '–';
}

export function percent(share) {
  if (!Number.isFinite(share)) return '–';
  const digits = share > 0 && share < 0.1 ? 1 : 0;
  return `${(share * 100).toFixed(digits)} %`;
}

export function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** Seconds as people say them, in at most two units. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 0.001) return '0 s';
  if (seconds < 1) return `${number(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return two(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.round(minutes / 60);
  return two(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

function two(large, largeUnit, small, smallUnit) {
  return small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

/** A moment as short as it can be seen from `now` (milliseconds). */
export function moment(time, now) {
  const date = new Date(time);
  if (time === null || Number.isNaN(date.getTime())) return '–';
  const today = DAY.format(date) === DAY.format(new Date(now));
  return today ? CLOCK.format(date) : BOTH.format(date);
}

export const clock = (time) => CLOCK.format(new Date(time));
export const hour = (time) => HOUR.format(new Date(time));
export const day = (time) => DAY.format(new Date(time));

/** "in 40 min", "12 s ago". */
export function relative(time, now) {
  const seconds = (new Date(time).getTime() - now) / 1000;
  if (!Number.isFinite(seconds)) return '–';
  const text = duration(Math.max(1, Math.round(Math.abs(seconds))));
  return seconds >= 0 ? `in ${text}` : `${text} ago`;
}

/** Who an entry or an incident is about, in one line. */
export function who(key) {
  if (!key) return '–';
  if (key.type === 'session') return `session ${visible(key.session)}`;
  return visible(key.address);
}

/** The fingerprint of a client, short; empty for other keys. */
export function fingerprint(key) {
  return key?.type === 'client' ? visible(key.fingerprint).slice(0, 8) : '';
}
