// Addresses as numbers, as far as the mock needs them.

/** An IPv4 address for each number, in 10.0.0.0/8 and shuffled. */
export function addressOf(number) {
  const mixed = Math.imul(number, 0x9e3779b1) >>> 8;
  return `10.${(mixed >>> 16) & 255}.${(mixed >>> 8) & 255}.${mixed & 255}`;
}

/** {version, value, bits}: `value` a BigInt; null when the text is no address or CIDR. */
export function parse(text) {
  const [host, prefix, ...rest] = String(text).split('/');
  if (rest.length || (prefix !== undefined && !/^\d{1,3}$/.test(prefix))) return null;
  const v4 = parse4(host);
  const found = v4 === null ? parse6(host) : { version: 4, value: v4 };
  if (!found) return null;
  const width = found.version === 4 ? 32 : 128;
  const bits = prefix === undefined ? width : Number(prefix);
  return bits > width ? null : { ...found, bits, width };
}

function parse4(text) {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) return null;
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function parse6(text) {
  if (!/^[0-9a-f:]+$/i.test(text) || !text.includes(':')) return null;
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const groups = halves.map((half) => (half ? half.split(':') : []));
  const missing = 8 - groups.flat().length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const all = halves.length === 1 ? groups[0] : [...groups[0], ...Array(missing).fill('0'), ...groups[1]];
  if (!all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null;
  return { version: 6, value: all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n) };
}

/** Bits of the address below its prefix. */
export const hostBits = ({ value, bits, width }) => value & ((1n << BigInt(width - bits)) - 1n);

export function contains(network, address) {
  const shift = BigInt(network.width - network.bits);
  return (
    network.version === address.version &&
    address.bits >= network.bits &&
    network.value >> shift === address.value >> shift
  );
}
