// What the tests run against: the mock, or with CONSOLE_URL a real NGINX.
//
//   CONSOLE_URL      the console: http://127.0.0.1:8080/abuse/
//   CONSOLE_ATTACK   a command that attacks until its source is denied; it writes the source's address
//   CONSOLE_PROBE    a command that sends one request as that source: exits with 0 when it is served
//   CONSOLE_AGAIN    a command that attacks once more as that source: exits with 0 when all of it is served
//
// Without these commands the tests that need an attack are skipped; `scanner` has all three. `make test-console`
// runs everything against the mock, then what needs none against NGINX (tests/tests/browser.rs).

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { contains, parse } from './mock/address.js';
import { PLOTS } from './mock/plots.js';
import { start } from './mock/server.js';

const run = promisify(execFile);
const { CONSOLE_URL, CONSOLE_ATTACK, CONSOLE_PROBE, CONSOLE_AGAIN } = process.env;

export const real = Boolean(CONSOLE_URL);
export const attackable = !real || Boolean(CONSOLE_ATTACK && CONSOLE_PROBE && CONSOLE_AGAIN);

/** {url, mock, attack(), served(), again(), close()}; `mock` is null for a real one. */
export async function target(options = {}) {
  if (real) return outside();
  const mock = await start(options);
  const last = { id: '' };
  return {
    url: mock.url,
    mock,
    /** Somebody is convicted; the address. */
    async attack() {
      const incident = mock.world.convict(PLOTS[0], Date.now(), 'shop');
      last.address = incident.key.address;
      return last.address;
    },
    /** Whether the last attacker's request would be served. */
    async served() {
      const { denylist } = mock.world;
      return ![...denylist.values()].some(({ key }) => key.address === last.address);
    },
    /** The last attacker attacks once more; whether it is served all the time. */
    async again() {
      const allowed = [...mock.world.allowlist.values()].map((entry) => parse(entry.address));
      if (allowed.some((network) => contains(network, parse(last.address)))) return true;
      mock.world.convict(PLOTS[0], Date.now(), 'shop');
      return false;
    },
    close: mock.close,
  };
}

function outside() {
  return {
    url: CONSOLE_URL.endsWith('/') ? CONSOLE_URL : `${CONSOLE_URL}/`,
    mock: null,
    async attack() {
      const { stdout } = await run('/bin/sh', ['-c', CONSOLE_ATTACK], { timeout: 120_000 });
      return stdout.trim().split('\n').at(-1);
    },
    served: () => succeeds(CONSOLE_PROBE),
    again: () => succeeds(CONSOLE_AGAIN),
    async close() {},
  };
}

/** Whether a command exits with 0. */
const succeeds = (command) =>
  run('/bin/sh', ['-c', command], { timeout: 60_000 }).then(
    () => true,
    () => false,
  );

/** Waits until `holds` returns true; the test's own time limit ends it. */
export async function until(holds) {
  while (!(await holds()))
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
}
