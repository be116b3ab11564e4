// Debian's Chromium, a page in it, and what no page may do: complain, run hostile text, break a rule of axe.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const WIDTHS = [390, 1440];

export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: ARGUMENTS });

/** A page at `width` pixels; everything that it complains about is kept in `page.complaints`. */
export async function open(browser, url, { width = 1440, scheme = 'light', user } = {}) {
  const context = await browser.newContext({
    viewport: { width, height: width < 600 ? 844 : 900 },
    colorScheme: scheme,
    reducedMotion: 'reduce',
    httpCredentials: user,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.complaints = [];
  page.foreign = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) page.complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => page.complaints.push(`uncaught: ${error.message}`));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin && !request.url().startsWith('data:'))
      page.foreign.push(request.url());
  });
  await page.goto(url);
  return page;
}

/** Goes to a view and waits until it shows what it loaded. */
export async function view(page, name, title) {
  await page.evaluate((hash) => {
    location.hash = hash;
  }, `#/${name}`);
  await page.getByRole('heading', { level: 1, name: title, exact: true }).waitFor();
  await page.locator('[aria-busy]').waitFor({ state: 'detached' });
}

/**
 * Nothing complained, nothing hostile ran, nobody else was asked. The browser itself says so when an answer is an
 * error: `refused` is the status that a test provoked.
 */
export async function innocent(page, refused = 0) {
  assert.deepEqual(
    page.complaints.filter((text) => !text.includes(`responded with a status of ${refused} `)),
    [],
  );
  assert.deepEqual(page.foreign, []);
  assert.equal(await page.evaluate(() => window.broken), undefined);
}

/** No rule of axe is broken, and nothing sticks out sideways. */
export async function accessible(page, what) {
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  assert.ok(passes.length > 10, `${what}: axe looked at ${passes.length} rules only`);
  const told = violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes
        .map(({ html, failureSummary }) => `${html}\n    ${failureSummary}`)
        .slice(0, 3)
        .join('\n  ')}`,
  );
  assert.deepEqual(told, [], what);
  const { scroll, inner } = await page.evaluate(() => ({
    scroll: document.documentElement.scrollWidth,
    inner: innerWidth,
  }));
  assert.ok(scroll <= inner, `${what}: ${scroll} pixels wide in ${inner}`);
}
